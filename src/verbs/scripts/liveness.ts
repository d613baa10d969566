import { serverProgramPatterns } from '../../postgres/server-process.ts';
import type { PsqlTarget } from '../../system/psql-failure.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import { recordFileName } from '../../system/stopped-for.ts';

/** The facts that the primary's host is asked about. */
export interface RemoteQuestion extends PsqlTarget {
  /** Unknown on a standby that was not made by us. */
  readonly primaryPgdata: string | undefined;
  /** Seconds for the whole look; psql gets only some of them. */
  readonly limitS: number;
}

/** The login and the look at the processes take their part of the limit. */
const notForPsqlS = 2;

/**
 * A directory is identified by device and inode, in whatever mount namespace a process has it: `-ef` compares these,
 * and is built into every shell in use. The text of /proc/PID/cwd belongs to the process's own mounts: it misses a
 * server in a container and one that was started through a bind mount, and mistakes a foreign server under the same
 * path for ours. A process that is ending has no working directory any more, for a moment before its state says so, and
 * any other cluster's may end now: only what is still there a second later counts as hidden.
 */
const processPart = `
    is_server() {
      { IFS= read -r comm < "/proc/$1/comm"; } 2>/dev/null || return 1
      case $comm in ${serverProgramPatterns}) ;; *) return 1 ;; esac
      { IFS= read -r stat < "/proc/$1/stat"; } 2>/dev/null || return 1
      stat=\${stat##*) }
      state=\${stat%% *}
      title=
      if [ "/proc/$1/cwd/." -ef "$pgdata/." ]; then
        { IFS= read -r title < "/proc/$1/cmdline"; } 2>/dev/null
        printf '%s\\n' "server $1 $state $title"
        return 0
      fi
      case $state in [ZX]) return 1 ;; esac
      if [ -O "/proc/$1" ] && ! [ -e "/proc/$1/cwd/." ] && [ -d "/proc/$1" ]; then hidden="$hidden $1"; fi
      return 1
    }
    hidden=
    if is_server "$pid"; then
      case $title in ''|'postgres: '*) ;; *) exit 0 ;; esac
    fi
    for entry in /proc/[0-9]*; do
      one=\${entry#/proc/}
      if [ "$one" != "$pid" ]; then is_server "$one"; fi
    done
    if [ -n "$hidden" ]; then
      again=$hidden
      hidden=
      sleep 1
      for one in $again; do is_server "$one"; done
      for one in $hidden; do echo "hidden $one"; done
    fi
    if [ "$pid" != 0 ]; then
      space=$(readlink /proc/self/ns/pid 2>/dev/null)
      case $space in 'pid:[4026531836]'|'') ;; *) echo "container $pid" ;; esac
    fi`;

/**
 * A POSIX sh script for the primary's host that prints one line per finding: `identifier` of the cluster in the data
 * directory, `recovers` if that is a standby's, and then each line of our record there as `record LINE`, `server PID STATE TITLE`, `hidden PID` (a server of ours that the
 * kernel hides from us), `postmaster PID` if there is no /proc, `container PID` if processes of other containers are
 * hidden, `blind`, `no-pgdata`, `unsent COUNT`, and `looked` at the end: without it the look was not completed. A
 * host may have thousands of processes: no program is started for each. One postmaster is enough.
 */
export function processScript(pgdata: string | undefined): string {
  if (pgdata === undefined) return "echo 'no-pgdata'";
  return `pgdata=${shellQuote(pgdata)}
if [ -d "$pgdata" ]; then
  if [ -r "$pgdata/global/pg_control" ]; then echo "identifier" $(od -A n -t u8 -N 8 "$pgdata/global/pg_control" 2>/dev/null); fi
  if [ -e "$pgdata/standby.signal" ] || [ -e "$pgdata/recovery.conf" ]; then
    echo recovers
    if [ -r "$pgdata/${recordFileName}" ]; then sed 's/^/record /' "$pgdata/${recordFileName}"; echo; fi
  fi
  pid=
  if [ -r "$pgdata/postmaster.pid" ]; then read -r pid < "$pgdata/postmaster.pid"; fi
  case $pid in ''|*[!0-9]*) pid=0 ;; esac
  if ! [ -d /proc/self ]; then
    if [ "$pid" != 0 ] && kill -0 "$pid" 2>/dev/null; then echo "postmaster $pid"; exit 0; fi
  elif ! [ / -ef / ] 2>/dev/null; then
    echo blind
  else${processPart}
  fi
  unsent=0
  for ready in "$pgdata"/pg_wal/archive_status/*.ready "$pgdata"/pg_xlog/archive_status/*.ready; do
    if [ -e "$ready" ]; then unsent=$((unsent + 1)); fi
  done
  echo "unsent $unsent"
  if [ -r "$pgdata/PG_VERSION" ]; then echo looked; fi
else
  echo no-pgdata
fi`;
}

function psqlWords({ psql, host, port, user, database }: RemoteQuestion): readonly string[] {
  const connection = ['-h', host, '-p', String(port), '-U', user, '-d', database];
  return [psql.program, ...psql.args, '-X', '-A', '-t', '-q', '-w', ...connection];
}

function psqlCall(question: RemoteQuestion, more: readonly string[]): string {
  const limitS = Math.max(1, question.limitS - notForPsqlS);
  const words = [...psqlWords(question), ...more].map(shellQuote).join(' ');
  return `LC_ALL=C PGCONNECT_TIMEOUT=${limitS} PGAPPNAME=pitrtools ${words}`;
}

/**
 * Prints what psql said, each line after `said `, and `psql STATUS` last: a session that is cut off must not leave a status without
 * the words that say what it means.
 */
export function psqlScript(question: RemoteQuestion): string {
  return `said=$(${psqlCall(question, ['-c', 'SELECT 1'])} 2>&1)
status=$?
printf '%s\\n' "$said" | sed 's/^/said /'
echo "psql $status"`;
}

/** Each statement is independent: a release that lacks a function still answers the others. */
const identityStatements = [
  "SELECT 'release ' || current_setting('server_version_num');",
  "SELECT 'recovery ' || pg_is_in_recovery()::text;",
  "SELECT 'identifier ' || system_identifier::text FROM pg_control_system();",
  "SELECT 'checkpoint-timeline ' || timeline_id::text FROM pg_control_checkpoint();",
  "SELECT 'file ' || pg_walfile_name(pg_current_wal_lsn());",
  "SELECT 'file ' || pg_xlogfile_name(pg_current_xlog_location());",
  "SELECT 'written ' || pg_current_wal_lsn()::text;",
  "SELECT 'written ' || pg_current_xlog_location()::text;",
];

/** Asks a living server what it is: lines `release`, `recovery`, `identifier`, `checkpoint-timeline`, `file` and `written`. */
export function identityScript(question: RemoteQuestion): string {
  const statements = identityStatements.map(shellQuote).join(' ');
  return `printf '%s\\n' ${statements} | ${psqlCall(question, [])} 2>/dev/null`;
}
