#!/usr/bin/env bash
# Measures the cost of the gate over HTTP on loopback: clients load the platform's /ping and /admin/ping, which have one
# handler, in turn. HTTP/1.1 by wrk, HTTP/2 without TLS by h2load, with ten streams on each connection.
# Usage: benches/http.sh, with ROUNDS (20) of SECONDS_EACH (1) for each row, CONNECTIONS ("8 64 512"), PROTOCOLS
# ("h1 h2"). Needs wrk, h2load (Debian: nghttp2-client) and curl.
#
# Rounds are short, because the load of the machine changes from second to second: a share compares neighbouring rounds.
# Both routes get the same header, so that the server reads the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-20} seconds=${SECONDS_EACH:-1} connections=${CONNECTIONS:-8 64 512} protocols=${PROTOCOLS:-h1 h2}

for tool in wrk h2load curl; do
    command -v "$tool" >/dev/null || { echo "http.sh: $tool is missing: apt-get install wrk nghttp2-client curl" >&2; exit 1; }
done
cargo build --quiet --release --example platform --all-features

directory=$(mktemp -d)
touch "$directory/log"
"${CARGO_TARGET_DIR:-target}/release/examples/platform" --listen 127.0.0.1:0 --connections-of-one 768 \
    --database "sqlite:$directory/platform.db" >"$directory/log" 2>"$directory/errors" &
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
expect /admin/ping 200 -H "$bearer" --http2-prior-knowledge
expect /admin/ping 401
expect /admin/ping 401 -H "${bearer}x"

# Prints the CPU time of the platform, of the process and of the kernel, in ticks. A busy machine changes it less than
# elapsed time.
ticks() { awk '{ sub(/.*\) /, ""); print $12, $13 }' "/proc/$platform/stat"; }

# Ends the script, with what the client printed.
fail() { cat "$directory/out" >&2; kill $$; exit 1; }

# Loads a path with HTTP/1.1. $1: the path, $2: connections. Prints requests per second and their number.
load_h1() {
    wrk -t1 -c"$2" -d"${seconds}s" -H "$bearer" "$url$1" >"$directory/out" || fail
    ! grep -qE 'Non-2xx|Socket errors' "$directory/out" || fail
    awk '$2 == "requests" && $3 == "in" { requests = $1 } $1 == "Requests/sec:" { print $2, requests }' "$directory/out"
}

# The same with HTTP/2.
load_h2() {
    # With 512 connections h2load sometimes does not end. Then the round does not count.
    for _ in 1 2 3; do
        timeout $((seconds + 3)) h2load -t1 -c"$2" -m10 -D"$seconds" -H "$bearer" "$url$1" >"$directory/out" && break
    done
    grep -q '^status codes:' "$directory/out" || return
    grep -qE ' 0 4xx, 0 5xx' "$directory/out" || fail
    awk '$1 == "finished" { rate = $4 } $1 == "requests:" { print rate, $8 }' "$directory/out"
}

# Loads a path. $1: the protocol, $2: connections, $3: public or guarded. Prints these, requests per second, and CPU
# microseconds a request of the process and of the kernel.
load() {
    local path=/ping before
    [ "$3" = public ] || path=/admin/ping
    before=$(ticks)
    "load_$1" "$path" "$2" | awk -v row="$1 $2 $3" -v before="$before" -v platform="$platform" -v hertz="$(getconf CLK_TCK)" '
        {
            getline after < ("/proc/" platform "/stat")
            sub(/.*\) /, "", after)
            split(before, b)
            split(after, a)
            each = 1e6 / hertz / $2
            print row, $1, (a[12] - b[1]) * each, (a[13] - b[2]) * each
        }'
}

# Loads both routes, in this order. $1: the protocol, $2: connections, $3: the order.
pair() { for row in $3; do load "$1" "$2" "$row" || return; done; }

# The first rounds are slower.
load "${protocols%% *}" 8 guarded >/dev/null
for protocol in $protocols; do
    for count in $connections; do
        for round in $(seq "$rounds"); do
            # The order alternates, so that a slow change of the machine affects both alike.
            order="public guarded"
            [ $((round % 2)) = 0 ] && order="guarded public"
            if pair "$protocol" "$count" "$order" >"$directory/pair"; then
                cat "$directory/pair" >>"$directory/rounds"
            else
                echo "http.sh: a round does not count: $protocol, $count connections" >&2
                tail -n 3 "$directory/out" >&2
            fi
        done
    done
done

# Prints the median and the quartiles of the numbers on standard input, one a line. $1: the number of decimals.
quartiles() { sort -g | awk -v f="%.$1f %.$1f %.$1f\n" '
    function at(part,   i) { i = 1 + (NR - 1) * part; return all[int(i)] + (i - int(i)) * (all[int(i) + 1] - all[int(i)]) }
    { all[NR] = $1 } END { printf f, at(0.5), at(0.25), at(0.75) }'; }

# Prints a column of the rounds of a row. $1: the protocol, $2: connections, $3: public or guarded, $4: the column.
column() { awk -v p="$1" -v c="$2" -v r="$3" -v column="$4" '$1 == p && $2 == c && $3 == r { print $column }' "$directory/rounds"; }

# The same, of a sum of the two columns of CPU time.
cpu() { awk -v p="$1" -v c="$2" -v r="$3" '$1 == p && $2 == c && $3 == r { print $5 + $6 }' "$directory/rounds"; }

echo "load of the machine, over 1, 5 and 15 minutes: $(cut -d' ' -f1-3 /proc/loadavg)"
echo "| protocol, connections | public: requests/s | guarded | share: median | quartiles | CPU µs a request: public | guarded |"
echo "| --- | --: | --: | --: | --: | --: | --: |"
for protocol in $protocols; do
    for count in $connections; do
        read -r public _ < <(column "$protocol" "$count" public 4 | quartiles 0)
        read -r guarded _ < <(column "$protocol" "$count" guarded 4 | quartiles 0)
        read -r share low high < <(paste <(column "$protocol" "$count" public 4) <(column "$protocol" "$count" guarded 4) |
            awk '{ print 100 * $2 / $1 }' | quartiles 1)
        read -r public_cpu _ < <(cpu "$protocol" "$count" public | quartiles 2)
        read -r guarded_cpu _ < <(cpu "$protocol" "$count" guarded | quartiles 2)
        name="HTTP/1.1"
        [ "$protocol" = h1 ] || name="HTTP/2"
        echo "| $name, $count | $public | $guarded | $share % | $low - $high % | $public_cpu | $guarded_cpu |"
    done
done
