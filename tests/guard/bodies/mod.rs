//! Request bodies of keyward's own routes: limits of size, time and list lengths, and the cost within them.

mod list_limits;
mod site;
mod slow;
mod worst_case;
