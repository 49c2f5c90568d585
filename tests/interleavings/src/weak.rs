//! Explores the memory ordering of `resolve/freshness.rs` and `guard/mark.rs`: the scheduler makes each load return
//! every value that the memory model allows. Each has a `sync` with what it uses, on loom.

mod changes;
mod marks;

/// The number of preemptions up to which every order is explored.
const PREEMPTIONS: usize = 3;

fn explore(test: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(test);
}

fn breaks(mistake: &'static str, test: fn()) {
    crate::breaks_when(mistake, || explore(test));
}
