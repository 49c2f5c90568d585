//! Request bodies of our own routes: how large they may be, how long they may take, how much may be in them, and what they cost.

mod list_limits;
mod site;
mod slow;
mod worst_case;
