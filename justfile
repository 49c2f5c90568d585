# How long each takes on two cores is in CONTRIBUTING.md.

# lists the recipes
default:
    @just --list

# unit tests and the gate's tests: no services
quick:
    cargo test --all-features --lib --test guard

# the tests whose name contains NAME, in all binaries: `just test revocation`
test NAME:
    cargo test --all-features {{ NAME }}

# everything that CI checks, or parts of it: `just ci style tests`
ci *PARTS:
    .ci/run {{ PARTS }}

# one benchmark: `just bench gate`
bench NAME="gate":
    cargo bench --all-features --bench {{ NAME }}
