//! In place of `arc_swap`: a place among values that are all kept. Loading and storing are what they are there, one access each.

use shuttle::sync::atomic::{AtomicUsize, Ordering};
include!("swap_in.rs");
