#!/bin/bash
# A Ceph RADOS Gateway (S3) on loopback, for tests: one monitor, one in-memory OSD, one gateway; no authentication
# between them. Needs Debian's radosgw, ceph-mon, ceph-osd and ceph-common.
# usage: ceph-start.sh STATE_DIR GATEWAY_PORT MONITOR_PORT ACCESS_KEY SECRET_KEY
set -euo pipefail
dir=$1; gateway_port=$2; monitor_port=$3; access_key=$4; secret_key=$5
mkdir -p "$dir"/{mon,osd,rgw,run,log}
cat >"$dir/ceph.conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_host = [v1:127.0.0.1:$monitor_port]
monmap = $dir/monmap
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
public_network = 127.0.0.0/8
ms_bind_msgr2 = false
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
pid_file = $dir/run/\$name.pid
log_file = $dir/log/\$name.log
log_to_stderr = false
keyring = $dir/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
[mon]
mon_data = $dir/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
# the default of a second makes every map change of the start wait for it
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
[osd]
osd_data = $dir/osd
osd_objectstore = memstore
memstore_device_bytes = 4G
memstore_page_size = 64K
osd_class_load_list = *
osd_class_default_list = *
[client.rgw]
rgw_data = $dir/rgw
# without tcp_nodelay each request takes 44 ms
rgw_frontends = beast endpoint=127.0.0.1:$gateway_port tcp_nodelay=1
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
rgw_run_sync_thread = false
rgw_dns_name = localhost
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
CONF
export CEPH_CONF=$dir/ceph.conf
fsid=$(sed -n 's/^fsid = //p' "$dir/ceph.conf")
errors=$dir/log/errors
ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' >/dev/null
monmaptool --create --addv a "[v1:127.0.0.1:$monitor_port]" --fsid "$fsid" "$dir/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring" 2>>"$errors"
ceph-mon -i a 2>>"$errors"
ceph-osd -i 0 --mkfs --osd-uuid "$(cat /proc/sys/kernel/random/uuid)" 2>>"$errors"
# the in-memory store chooses its own id, whatever it is told
ceph osd new "$(cat "$dir/osd/fsid")" >/dev/null 2>>"$errors"
# without authentication the OSD now and then speaks before it knows the cluster ("wrong fsid")
for try in 1 2 3 4 5 6 7 8; do
  ceph-osd -i 0 >>"$errors" 2>&1 && break
  if [ "$try" = 8 ]; then echo "the OSD did not start, see $dir/log" >&2; exit 1; fi
  sleep 0.2
done
radosgw-admin user create --uid=test --display-name=test --access-key="$access_key" --secret-key="$secret_key" \
  --max-buckets=10000 >/dev/null 2>>"$errors"
radosgw -n client.rgw 2>>"$errors"
for _ in $(seq 300); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$gateway_port") 2>/dev/null; then exit 0; fi
  sleep 0.05
done
echo "the gateway did not come up, see $dir/log" >&2
exit 1
