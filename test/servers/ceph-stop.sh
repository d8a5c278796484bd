#!/bin/bash
# Ends what ceph-start.sh started, by its pid files, and removes its state.
# usage: ceph-stop.sh STATE_DIR
dir=$1
for name in client.rgw osd.0 mon.a; do
  file=$dir/run/$name.pid
  [ -f "$file" ] || continue
  pid=$(cat "$file")
  kill -9 "$pid" 2>/dev/null
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done
done
rm -rf "$dir"
