#!/bin/bash
# Ends what swift-start.sh started, by its pid file, and removes its state.
# usage: swift-stop.sh STATE_DIR
dir=$1
if [ -f "$dir/pids" ]; then
  while read -r pid; do
    # servers fork their workers
    pkill -9 -P "$pid" 2>/dev/null
    kill -9 "$pid" 2>/dev/null
  done <"$dir/pids"
fi
rm -rf "$dir"
