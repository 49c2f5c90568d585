//! A replacement for `arc_swap`: an index into values that are all kept. A load or a store is one access, as in the
//! original.

use shuttle::sync::atomic::{AtomicUsize, Ordering};
include!("swap_in.rs");
