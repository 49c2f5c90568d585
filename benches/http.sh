#!/usr/bin/env bash
# Measures the cost of the gate over HTTP on loopback: wrk loads the platform's /ping and /admin/ping, which have one
# handler, in turn. Usage: benches/http.sh, with ROUNDS (40) of SECONDS_EACH (1) for each row, CONNECTIONS (32). Needs
# wrk and curl.
#
# Rounds are short, because the load of the machine changes from second to second: a share compares neighbouring rounds.
# Both routes get the same header, so that the server reads the same bytes. The third row shows the cost of reading the
# header.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-40} seconds=${SECONDS_EACH:-1} connections=${CONNECTIONS:-32}

for tool in wrk curl; do
    command -v "$tool" >/dev/null || { echo "http.sh: $tool is missing: apt-get install $tool" >&2; exit 1; }
done
cargo build --quiet --release --example platform --all-features

directory=$(mktemp -d)
touch "$directory/log"
"${CARGO_TARGET_DIR:-target}/release/examples/platform" --listen 127.0.0.1:0 --database "sqlite:$directory/platform.db" \
    >"$directory/log" 2>"$directory/errors" &
platform=$!
trap 'kill $platform 2>/dev/null || true; rm -rf "$directory"' EXIT
for _ in $(seq 100); do
    url=$(sed -n 's/^listening on //p' "$directory/log")
    [ -n "$url" ] && break
    sleep 0.1
done
: "${url:?the platform did not start: $(cat "$directory/errors")}"
bearer="Authorization: Bearer $(sed -n 's/^ROOT=//p' "$directory/log")"

# Asserts the status of a path. $1: the path, $2: the status, then curl's arguments.
expect() {
    local path=$1 expected=$2 status
    shift 2
    status=$(curl -s -o /dev/null -w '%{http_code}' "$@" "$url$path")
    [ "$status" = "$expected" ] || { echo "http.sh: unexpected status $status of $path: expected $expected" >&2; exit 1; }
}
expect /ping 200
expect /admin/ping 200 -H "$bearer"
expect /admin/ping 401
expect /admin/ping 401 -H "${bearer}x"

# Prints the CPU time of the platform, of the process and of the kernel, in ticks. A busy machine changes it less than
# elapsed time.
ticks() { awk '{ sub(/.*\) /, ""); print $12, $13 }' "/proc/$platform/stat"; }

# Loads a path. $1: the row, $2: the path, then wrk's arguments. Prints the row, requests per second, p99 in ms, and CPU
# microseconds per request of the process and of the kernel.
load() {
    local row=$1 path=$2 before
    shift 2
    before=$(ticks)
    wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" "$url$path" >"$directory/wrk"
    if grep -qE 'Non-2xx|Socket errors' "$directory/wrk"; then
        cat "$directory/wrk" >&2
        exit 1
    fi
    awk -v row="$row" -v before="$before" -v after="$(ticks)" -v hertz="$(getconf CLK_TCK)" '
        BEGIN { split(before, b); split(after, a); own = a[1] - b[1]; kernel = a[2] - b[2] }
        $1 == "99%" { p99 = $2 * ($2 ~ /us$/ ? 0.001 : $2 ~ /ms$/ ? 1 : 1000) }
        $2 == "requests" && $3 == "in" { requests = $1 }
        $1 == "Requests/sec:" { rate = $2 }
        END { each = 1e6 / hertz / requests; print row, rate, p99, own * each, kernel * each }' "$directory/wrk"
}

load warm-up /admin/ping -H "$bearer" >/dev/null
for round in $(seq "$rounds"); do
    # The order alternates, so that a slow change of the machine affects all rows alike.
    order="public guarded bare"
    [ $((round % 2)) = 0 ] && order="bare guarded public"
    for row in $order; do
        case $row in
        public) load public /ping -H "$bearer" ;;
        guarded) load guarded /admin/ping -H "$bearer" ;;
        bare) load bare /ping ;;
        esac
    done
done >"$directory/rounds"

awk '
    function median(row, column,   i, j, n, sorted, kept) {
        n = count[row]
        for (i = 1; i <= n; i++) sorted[i] = value[row, column, i]
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) { kept = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = kept }
        return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
    }
    function line(row, name,   i) {
        for (i = 1; i <= count[row]; i++) value["share", 2, i] = 100 * value[row, 2, i] / value["public", 2, i]
        count["share"] = count[row]
        printf "| %s | %.0f | %.1f %% | %.2f | %.2f | %.2f |\n", name, median(row, 2), median("share", 2), median(row, 3),
            median(row, 4), median(row, 5)
    }
    { count[$1]++; for (i = 2; i <= 5; i++) value[$1, i, count[$1]] = $i }
    END {
        print "| route | requests/s | of the public route\047s | p99 ms | CPU µs a request: process | kernel |"
        print "| --- | --: | --: | --: | --: | --: |"
        line("public", "/ping, with an unused header")
        line("guarded", "/admin/ping, with a token")
        line("bare", "/ping, without the header")
    }' "$directory/rounds"
