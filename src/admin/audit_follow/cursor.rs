//! Positions in the audit log.

use super::FollowError;
use crate::admin::ServiceError;
use crate::domain::Timestamp;
use crate::store::{AuditBounds, View};
use std::fmt;
use std::str::FromStr;

/// A position in the audit log: after an event, at the start, or at the end.
///
/// Its text is opaque, and parses in later versions too.
///
/// ```
/// use keyward::admin::Cursor;
/// let text = Cursor::start().to_string();
/// assert_eq!(text.parse::<Cursor>()?, Cursor::start());
/// # Ok::<_, keyward::admin::MalformedCursor>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor(Position);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Position {
    Start,
    Now,
    After(Place),
}

/// The place after an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    /// The id of the event; 0 before the first one.
    pub(super) id: i64,
    /// The time of the event. It differs from that of another event that got the same id after a restore.
    at: Timestamp,
    /// The highest id of a deleted event of which the reader knows.
    deleted: i64,
}

/// The error for a text that is no cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a cursor: pass the text of one that was stored, or begin with Cursor::start()")]
pub struct MalformedCursor;

const START: &str = "start";
const NOW: &str = "now";
/// The version of the text.
const VERSION: &str = "1";

impl Cursor {
    /// Returns the position before the oldest event that is kept.
    pub fn start() -> Self {
        Self(Position::Start)
    }

    /// Returns the position after the last event that is committed when the stream is first polled.
    pub fn now() -> Self {
        Self(Position::Now)
    }

    /// Finds the place of this position in the log of a view.
    pub(super) async fn place(self, view: &mut dyn View) -> Result<Place, ServiceError> {
        match self.0 {
            Position::After(place) => Ok(place),
            Position::Start => {
                let AuditBounds { deleted, .. } = view.audit_bounds(0).await?;
                Ok(Place { id: 0, at: Timestamp(0), deleted })
            }
            Position::Now => last_place(view).await,
        }
    }
}

/// Returns the position after the last event of a view.
pub(super) async fn last(view: &mut dyn View) -> Result<Cursor, ServiceError> {
    Ok(last_place(view).await?.cursor())
}

async fn last_place(view: &mut dyn View) -> Result<Place, ServiceError> {
    let AuditBounds { last, .. } = view.audit_bounds(0).await?;
    let AuditBounds { at, deleted, .. } = view.audit_bounds(last).await?;
    Ok(Place { id: last, at: at.unwrap_or(Timestamp(0)), deleted })
}

impl Place {
    /// Returns the place after an event that was read from here.
    pub(super) fn after(self, id: i64, at: Timestamp) -> Self {
        Self { id, at, ..self }
    }

    /// Returns the place with the deleted events of the log, none of which is after the place.
    pub(super) fn within(self, bounds: &AuditBounds) -> Self {
        Self { deleted: bounds.deleted, ..self }
    }

    pub(super) fn cursor(self) -> Cursor {
        Cursor(Position::After(self))
    }

    /// Compares the place with the log. Returns the place after a gap, if events after this place were deleted.
    ///
    /// # Errors
    /// [`FollowError::Diverged`] if the event of this place is not there and was not deleted.
    pub(super) fn check(self, bounds: &AuditBounds) -> Result<Option<Self>, FollowError> {
        let AuditBounds { at, last, deleted } = *bounds;
        if self.id > 0 {
            let was_deleted = at.is_none() && self.id <= deleted;
            let is_there = at == Some(self.at) && self.id <= last;
            if !was_deleted && !is_there {
                return Err(FollowError::Diverged);
            }
        }
        Ok((deleted > self.id.max(self.deleted)).then_some(Self { deleted, ..self }))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Position::Start => f.write_str(START),
            Position::Now => f.write_str(NOW),
            Position::After(Place { id, at, deleted }) => write!(f, "{VERSION}-{id:x}-{:x}-{deleted:x}", at.0),
        }
    }
}

impl FromStr for Cursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        match text {
            START => return Ok(Self::start()),
            NOW => return Ok(Self::now()),
            _ => {}
        }
        let parts: Vec<&str> = text.split('-').collect();
        let [VERSION, id, at, deleted] = parts[..] else { return Err(MalformedCursor) };
        let place = Place { id: number(id)?, at: Timestamp(number(at)?), deleted: number(deleted)? };
        let is_possible = place.id >= 0 && place.deleted >= 0;
        is_possible.then_some(place.cursor()).ok_or(MalformedCursor)
    }
}

/// Parses a number as `{:x}` formats it: negative ones in two's complement.
fn number(text: &str) -> Result<i64, MalformedCursor> {
    let number = u64::from_str_radix(text, 16).map_err(|_| MalformedCursor)?.cast_signed();
    // Each number has only one text.
    (format!("{number:x}") == text).then_some(number).ok_or(MalformedCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: i64, at: i64, deleted: i64) -> Place {
        Place { id, at: Timestamp(at), deleted }
    }

    #[test]
    fn cursors_parse_from_their_text() {
        let places = [place(0, 0, 0), place(1, -5, 0), place(i64::MAX, i64::MAX, i64::MAX), place(7, i64::MIN, 3)];
        for cursor in places.into_iter().map(Place::cursor).chain([Cursor::start(), Cursor::now()]) {
            assert_eq!(cursor.to_string().parse(), Ok(cursor), "{cursor}");
        }
        for text in [
            "",
            " start",
            "START",
            "1",
            "1-",
            "1-1-1",
            "1-1-1-1-1",
            "2-1-1-1",
            "1-g-1-1",
            "1-01-1-1",
            "1-+1-1-1",
            "1-A-1-1",
            "1-ffffffffffffffff-1-1",
            "1-1-1-ffffffffffffffff",
            "1-10000000000000000-1-1",
            "1--1-1-1",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(MalformedCursor), "{text:?}");
        }
    }

    #[test]
    fn place_is_compared_with_the_log() {
        let bounds = |at: Option<i64>, last, deleted| AuditBounds { at: at.map(Timestamp), last, deleted };
        for (of, log, expected) in [
            (place(0, 0, 0), bounds(None, 0, 0), Some(None)),
            (place(0, 0, 0), bounds(None, 9, 0), Some(None)),
            (place(5, 50, 0), bounds(Some(50), 5, 0), Some(None)),
            (place(5, 50, 0), bounds(Some(50), 9, 4), Some(None)),
            (place(5, 50, 0), bounds(None, 9, 5), Some(None)),
            // Events that were not read are gone.
            (place(5, 50, 0), bounds(None, 9, 6), Some(Some(place(5, 50, 6)))),
            (place(0, 0, 0), bounds(None, 9, 6), Some(Some(place(0, 0, 6)))),
            (place(5, 50, 6), bounds(None, 9, 6), Some(None)),
            (place(5, 50, 6), bounds(None, 9, 7), Some(Some(place(5, 50, 7)))),
            // The clock went back, so that later events were older.
            (place(5, 50, 0), bounds(Some(50), 9, 6), Some(Some(place(5, 50, 6)))),
            // The store was set back.
            (place(5, 50, 0), bounds(None, 4, 0), None),
            (place(5, 50, 0), bounds(Some(51), 9, 0), None),
            (place(5, 50, 0), bounds(None, 9, 4), None),
            (place(5, 50, 0), bounds(Some(51), 9, 7), None),
        ] {
            assert_eq!(of.check(&log).ok(), expected, "{of:?} in {log:?}");
        }
    }
}
