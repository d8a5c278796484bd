#!/bin/bash
# OpenStack Swift with its S3 dialect (s3api) on loopback, for tests: one replica on one folder, its own user
# test:tester with the secret "testing". Needs Debian's swift-proxy, swift-account, swift-container, swift-object and
# memcached, and a file system with extended attributes.
# usage: swift-start.sh STATE_DIR PROXY_PORT OBJECT_PORT CONTAINER_PORT ACCOUNT_PORT MEMCACHED_PORT
set -euo pipefail
dir=$1; proxy_port=$2; memcached_port=$6
mkdir -p "$dir"/{etc,node/d1,log}
cd "$dir/etc"
: >"$dir/pids"
for server in object:$3 container:$4 account:$5; do
  name=${server%:*}; port=${server#*:}
  swift-ring-builder "$name.builder" create 4 1 1 >/dev/null
  swift-ring-builder "$name.builder" add "r1z1-127.0.0.1:$port/d1" 1 >/dev/null
  # it says by its status that nothing had to move
  swift-ring-builder "$name.builder" rebalance >/dev/null || true
  cat >"$name-server.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 1
user = $(id -un)
swift_dir = $dir/etc
devices = $dir/node
mount_check = false
log_level = WARNING
disable_fallocate = true
fallocate_reserve = 0
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
CONF
done
pipeline='catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink'
cat >proxy-server.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $proxy_port
workers = 1
user = $(id -un)
swift_dir = $dir/etc
log_level = WARNING
[pipeline:main]
pipeline = $pipeline proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$memcached_port
CONF
for filter in $pipeline; do
  case $filter in s3api | tempauth | cache) continue ;; esac
  printf '[filter:%s]\nuse = egg:swift#%s\n' "$filter" "$filter" >>proxy-server.conf
done
run() {
  nohup "$@" >>"$dir/log/$(basename "$1").log" 2>&1 </dev/null &
  echo $! >>"$dir/pids"
}
run memcached -l 127.0.0.1 -p "$memcached_port" -U 0 -u nobody -m 64
for name in account container object proxy; do run "swift-$name-server" "$dir/etc/$name-server.conf"; done
for port in "$3" "$4" "$5" "$proxy_port"; do
  for try in $(seq 600); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
    sleep 0.05
  done
  echo "Swift did not come up, see $dir/log" >&2
  exit 1
done
