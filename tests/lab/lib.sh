# shellcheck shell=bash disable=SC2034,SC2154
# What the tests of this folder share. A test sets `here` and `only`, sources this, and calls `workplace NAME`.
# QUORATE is another binary than the one that is built; QUORATE_LAB_KEEP=1 leaves the lab and the folder;
# QUORATE_LAB_LONG=1 runs what takes long, too.
target=${CARGO_TARGET_DIR:-$here/target}/debug
quorate=${QUORATE:-$target/quorate}
chaos=$target/quorate-chaos
long=${QUORATE_LAB_LONG:-}
passed=0; failed=0

workplace() { # workplace NAME: a folder with the shipped playbooks, left behind as it is entered; the lab's name
  lab=$1$$; work=$(mktemp -d)
  [ -x "$quorate" ] || (cd "$here" && cargo build --locked) || exit 1
  [ -x "$chaos" ] || (cd "$here" && cargo build --locked -q -p quorate-chaos) || exit 1
  trap leave EXIT
  cp -r "$here/playbooks" "$here/roles" "$here/ansible.cfg" "$work/"
  cd "$work" || exit 1
}
leave() {
  [ -z "${client_job-}" ] || rm -f "$work/writing"
  [ -n "${QUORATE_LAB_KEEP:-}" ] || { "$quorate" lab down -n "$lab" >/dev/null 2>&1; rm -rf "$work"; }
}

in_lab() { "$quorate" lab exec -n "$lab" -- "$@"; }
on() { local host=$1; shift; "$quorate" lab ssh -n "$lab" "$host" "$@"; }
no_change() { grep -q 'failed=0' "$1" && ! grep -E 'changed=[1-9]|failed=[1-9]|unreachable=[1-9]' "$1"; }
again() { # again PLAYBOOK…: it ends well and changes nothing (`play` is the test's)
  play "$@" >again.out 2>&1; local rc=$?
  no_change again.out && [ $rc = 0 ] || { cat again.out; echo "the second run changed something"; return 1; }
}
refuses() { # refuses WORDS COMMAND…: it fails, says so, and changed nothing
  local words=$1; shift
  "$@" >refused.out 2>&1 && { cat refused.out; echo "it was not refused"; return 1; }
  grep -qE "$words" refused.out || { cat refused.out; echo "it did not say: $words"; return 1; }
  ! grep -E 'changed=[1-9]' refused.out
}

# Members, as the client's etcdctl lists them (`ctl` is the test's): `HOST false` is a voter, `HOST true` a learner.
members() { ctl member list | sed -E 's/.*https:..([0-9.]+):2379.*, (true|false)$/\1 \2/; s/^[0-9a-f]+, unstarted.*/unstarted/' | sort | tr '\n' ' '; }
are() { local now want="" host; for host; do want+="$host false "; done; now=$(members); [ "$now" = "$want" ] || { echo "members: $now, not $want"; return 1; }; }

# A client as an application has it: it writes and reads every 50 ms, tries other endpoints within 1.5 s, and notes
# every answer. etcd itself drops what reaches a leader in the milliseconds in which it hands its leadership over, so a
# client that sends a request once only and waits has lost that one, whoever moves the leader.
client_starts() { # client_starts PREFIX URL…
  touch writing; client_prefix=$1; shift
  in_lab "$chaos" client --pki files/pki --prefix "$client_prefix" --log "$client_prefix.log" "$@" < <(while [ -e writing ]; do sleep 0.1; done) &
  client_job=$!; sleep 0.5
}
# client_ends MS HOSTS URL…: nothing that was acknowledged is lost, no read was stale, no write waited longer. HOSTS
# are the members there are then, with commas between; none where that is not asked. Leaves what it found in `note`.
client_ends() {
  local limit=$1 hosts=$2; shift 2
  sleep 0.3; rm -f writing; wait "$client_job"; client_job=
  in_lab "$chaos" verify --pki files/pki --prefix "$client_prefix" --log "$client_prefix.log" --members "$hosts" "$@" >verified || { cat verified; return 1; }
  note=$(cat verified); waited=$(sed -n 's/.*longest: \([0-9]*\) ms/\1/p' verified)
  [ "$waited" -le "$limit" ] || { echo "$note; more than $limit ms"; return 1; }
}

# said NAME COMMAND…: what it says, both streams and how it ends, is what stands in tests/lab/said/NAME.txt, but for
# times, releases, ids, and which member leads. QUORATE_RECORD=self writes that file.
said() {
  local file=$here/tests/lab/said/$1.txt; shift
  { "$@" 2>&1; echo "? $?"; } | sed -E "s#$work#HERE#g; s/$lab/LAB/g; s/[0-9]+(\.[0-9]+)? ?(s|ms|MiB|MB|GiB)\b/N \2/g
    s/\b3\.[0-9]+\.[0-9]+\b/RELEASE/g; s/\b[0-9a-f]{12,16}\b/ID/g; s/\b(leader|voter) healthy/member healthy/g; s/[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:]{8})?/WHEN/g; s/ +$//" >"$work/said.now"
  if [ -n "${QUORATE_RECORD:-}" ]; then mkdir -p "${file%/*}"; cp "$work/said.now" "$file"; fi
  diff -u "$file" "$work/said.now"
}

# case_ NAME FUNCTION ARGUMENTS…: PASS or FAIL. There is a clock in most of this: what fails is run once more, and is
# then said to have failed at first.
case_() {
  local name=$1 began at_first=; shift
  [ -z "$only" ] || [[ $name == *$only* ]] || return 0
  began=$(date +%s); note=
  if ! "$@" >"$work/out" 2>&1; then
    at_first=" AT THE SECOND TRY"
    echo "AGAIN: $name went wrong, and is run once more"; tail -n 60 "$work/out" | sed 's/^/     /'
    after_failure; note=
    "$@" >"$work/out" 2>&1 || at_first=no
  fi
  if [ "$at_first" = no ]; then
    echo "FAIL $name"; tail -n 60 "$work/out" | sed 's/^/     /'; failed=$((failed + 1)); after_failure
  else
    echo "PASS $name ($(($(date +%s) - began)) s)$at_first${note:+: $note}"; passed=$((passed + 1))
  fi
}
after_failure() { kept=; rm -f "$work/writing"; client_job=; }
ends() { echo; echo "$passed passed, $failed failed${1-}"; [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; }
