import type { CommandLine } from '../../system/command.ts';
import { shellQuote } from '../../system/shell-quote.ts';

/** What the primary's host is asked about. */
export interface RemoteQuestion {
  /** Unknown on a standby that was not made by us. */
  readonly primaryPgdata: string | undefined;
  readonly psql: CommandLine;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Seconds for the whole look; psql gets fewer of them. */
  readonly limitS: number;
}

/** The login and the look at the processes take their part of the limit. */
const notForPsqlS = 2;

/**
 * A POSIX sh script for the primary's host that prints one line per finding:
 * `postmaster PID`, which is enough; `process PID` (one that works in the data directory), `no-pgdata`, `looked`,
 * `unsent COUNT`, what psql said, each line after `said `, and `psql STATUS` last: a session that is cut off must not leave a
 * status without the words that tell what it means. A host may have thousands of processes: no other is started for each.
 */
export function remoteScript(question: RemoteQuestion): string {
  return `${pgdataPart(question.primaryPgdata)}\n${psqlPart(question)}`;
}

function pgdataPart(pgdata: string | undefined): string {
  if (pgdata === undefined) return "echo 'no-pgdata'";
  return `pgdata=${shellQuote(pgdata)}
if [ -d "$pgdata" ]; then
  real=$(CDPATH= cd -- "$pgdata" && pwd -P)
  is_server() {
    { IFS= read -r comm < "/proc/$1/comm"; } 2>/dev/null || return 1
    case $comm in postgres*|postmaster*) ;; *) return 1 ;; esac
    [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$real" ]
  }
  pid=
  if [ -r "$pgdata/postmaster.pid" ]; then read -r pid < "$pgdata/postmaster.pid"; fi
  case $pid in
    ''|*[!0-9]*) ;;
    *) if [ -d /proc/self ]; then is_server "$pid"; else kill -0 "$pid" 2>/dev/null; fi &&
       echo "postmaster $pid" && exit 0 ;;
  esac
  for entry in /proc/[0-9]*; do
    one=\${entry#/proc/}
    if [ "$one" != "$pid" ] && is_server "$one"; then echo "process $one"; fi
  done
  unsent=0
  for ready in "$pgdata"/pg_wal/archive_status/*.ready "$pgdata"/pg_xlog/archive_status/*.ready; do
    if [ -e "$ready" ]; then unsent=$((unsent + 1)); fi
  done
  if [ -r "$pgdata/PG_VERSION" ]; then echo looked; fi
  echo "unsent $unsent"
else
  echo no-pgdata
fi`;
}

function psqlPart(question: RemoteQuestion): string {
  const { program, args } = question.psql;
  const connection = [
    '-h',
    question.host,
    '-p',
    String(question.port),
    '-U',
    question.user,
    '-d',
    'postgres',
  ];
  const words = [program, ...args, '-X', '-A', '-t', '-q', '-w', ...connection, '-c', 'SELECT 1'];
  const limitS = Math.max(1, question.limitS - notForPsqlS);
  return `said=$(LC_ALL=C PGCONNECT_TIMEOUT=${limitS} PGAPPNAME=pitrtools ${words.map(shellQuote).join(' ')} 2>&1)
status=$?
printf '%s\\n' "$said" | sed 's/^/said /'
echo "psql $status"`;
}

/** What a look at the primary's host says. */
export type RemoteFinding =
  | { readonly kind: 'alive'; readonly by: string }
  /** `unsent` is the number of WAL files that still wait there to be archived, where it is known. */
  | { readonly kind: 'dead'; readonly unsent: number | undefined }
  /** It answered and proved neither. */
  | { readonly kind: 'unclear'; readonly reason: string };

/** libpq's own words, in the C locale, for a connection that nobody took. */
const nobodyThere =
  /connection refused|no such file or directory|could not translate host name|unreachable|no route to host/i;

/** A stopped server's connections are taken by the kernel: silence proves neither that one lives nor that none does. */
const silence = /timeout expired|timed out/i;

type PsqlFinding = 'answered' | 'nobody' | 'silent' | 'cannot-ask';

/** Anything that is not plainly "nobody there" counts as an answer: a refused password is one. */
function readPsql(status: number | undefined, said: string): PsqlFinding {
  if (status === 0) return 'answered';
  if (status !== 2) return 'cannot-ask';
  if (silence.test(said)) return 'silent';
  return nobodyThere.test(said) ? 'nobody' : 'answered';
}

function values(lines: readonly string[], word: string): readonly string[] {
  return lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
}

export function readFindings(lines: readonly string[]): RemoteFinding {
  const [postmaster] = values(lines, 'postmaster');
  if (postmaster !== undefined) return { kind: 'alive', by: `its postmaster runs there (pid ${postmaster})` };
  const processes = values(lines, 'process');
  if (processes.length > 0)
    return { kind: 'alive', by: `server processes still run there (pid ${processes.join(', ')})` };
  const status = values(lines, 'psql')[0];
  const said = values(lines, 'said').join(' ').trim();
  const psql = readPsql(status === undefined ? undefined : Number(status), said);
  if (psql === 'answered') return { kind: 'alive', by: `psql there says: ${said}` };
  const unsent = values(lines, 'unsent')[0];
  if (lines.includes('looked') || psql === 'nobody')
    return { kind: 'dead', unsent: unsent === undefined ? undefined : Number(unsent) };
  const problem = psql === 'silent' ? 'gets no answer there' : 'cannot be run there';
  return { kind: 'unclear', reason: `psql ${problem} (${said}), and its data directory is not known` };
}
