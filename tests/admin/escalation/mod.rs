//! no-escalation (`docs/invariants.md`): no sequence of calls by a person who is not a super admin lets an account that this person
//! can sign in as read, change or grant more than the person could at the start.

mod oracle;
mod over_http;
mod sequences;
mod setting;
mod steps;
