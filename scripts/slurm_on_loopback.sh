#!/usr/bin/env bash
# A SLURM cluster of one node on 127.0.0.1, with accounting, for trying hydra/launcher=submitit_slurm on a machine that may be
# thrown away (Debian, root):  scripts/slurm_on_loopback.sh start|stop
set -euo pipefail
SPOOL=/var/spool/slurm

start() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm slurmdbd mariadb-server munge >/dev/null
    mkdir -p $SPOOL/ctld $SPOOL/d /run/munge /run/mysqld /etc/slurm
    chown munge /run/munge
    chown mysql /run/mysqld
    cat >/etc/slurm/slurmdbd.conf <<CONF
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageUser=slurm
StorageLoc=slurm
PidFile=/run/slurmdbd.pid
LogFile=/var/log/slurmdbd.log
CONF
    chmod 600 /etc/slurm/slurmdbd.conf
    cat >/etc/slurm/slurm.conf <<CONF
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=$SPOOL/ctld
SlurmdSpoolDir=$SPOOL/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
ReturnToService=2
MailProg=/bin/true
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    pgrep -x munged >/dev/null || runuser -u munge -- /usr/sbin/munged
    pgrep -x mariadbd >/dev/null || { (mariadbd-safe --bind-address=127.0.0.1 >/dev/null 2>&1 &); }
    wait_for mariadb-admin --silent ping
    mariadb -e "CREATE DATABASE IF NOT EXISTS slurm; CREATE USER IF NOT EXISTS slurm@localhost; GRANT ALL ON slurm.* TO slurm@localhost"
    pgrep -x slurmdbd >/dev/null || slurmdbd
    wait_for sacctmgr --noheader list cluster
    sacctmgr --immediate add cluster loopback >/dev/null || true # there already
    pgrep -x slurmctld >/dev/null || slurmctld
    pgrep -x slurmd >/dev/null || slurmd -N localhost
    wait_for sinfo --noheader
    sinfo
}

wait_for() {
    for _ in $(seq 60); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "no answer: $*" >&2
    exit 1
}

stop() {
    pkill -x slurmd || true
    pkill -x slurmctld || true
    pkill -x slurmdbd || true
    mariadb-admin shutdown || true
    pkill -x munged || true
}

"$1"
