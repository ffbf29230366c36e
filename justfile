# The recipes are CI's steps. `just` is among the tools that .ci/tools installs.

export PATH := justfile_directory() / "target/tools/venv/bin:" + env("PATH")

# what there is
[private]
default:
    @{{ just_executable() }} --list --unsorted

# format; `just fmt --check` only looks
fmt *FLAGS:
    cargo fmt --all -- {{ FLAGS }}

# lint all targets, warnings are errors
clippy:
    cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

# licences, banned crates, sources of dependencies
deny:
    cargo-deny --log-level error check --hide-inclusion-graph bans licenses sources

# lint the Dockerfile (no container engine needed)
dockerfile:
    hadolint --failure-threshold style Dockerfile

# build the API documentation, warnings are errors
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

# install what the tests need, then run them all
test *ARGS:
    ./test {{ ARGS }}

# the README's set-up commands, as it spells them
readme:
    .ci/readme

# the demo with simulated vendors
demo *ARGS:
    cargo run --locked -- demo {{ ARGS }}

# refresh the price snapshots from their sources
prices *ARGS:
    cargo xtask prices {{ ARGS }}

# speed and memory against nginx, each on a core of its own; needs nginx, taskset and a quiet machine
bench *ARGS:
    cargo build --locked --release -p tollgate -p tollgate-benches
    target/release/bench-gateway {{ ARGS }}

# train the learned scores on the data in DIR and compare them, bit by bit, with the built-in ones (docs/routing.md)
retrain DIR:
    TOLLGATE_ROUTING_DATA="$(realpath {{ DIR }})" cargo nextest run --locked --release -p tollgate \
        --profile soak --run-ignored only -E 'test(rebuilt_to_the_bit)'

# what takes hours: ten million cases of each law about streams and money, a thousand kills; fewer of them where asked
soak cases="10000000" kills="1000" build="release":
    PROPTEST_CASES={{ cases }} TOLLGATE_KILLS={{ kills }} cargo nextest run --locked --cargo-profile {{ build }} --workspace \
        --profile soak -E 'binary(laws) | test(re_cutting_changes_nothing) | test(kill_9_at_any_point) | test(/^kills::/)'

# what .ci/run runs
ci:
    #!/usr/bin/env bash
    set -euo pipefail
    for step in "fmt --check" clippy deny dockerfile docs test readme; do
        echo "== just $step"
        started=$SECONDS
        {{ just_executable() }} $step
        echo "== just $step: passed in $((SECONDS - started)) s"
    done
    # The data is not part of the repository: where it lies beside it, the weights must come out of it.
    if [ -d ../shared/data/routing ]; then
        {{ just_executable() }} retrain ../shared/data/routing
    fi
