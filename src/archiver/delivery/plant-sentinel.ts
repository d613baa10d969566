import type { StandbyTarget } from '../../config/options-archiver.ts';
import { quoted } from '../../system/printable.ts';
import { formatSentinel, parseSentinel, sentinelLockName, sentinelName } from '../../system/sentinel.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import type { Cluster } from '../wal/cluster.ts';
import { unfitness } from './answers.ts';
import { refuseUnfitPlace } from './scripts.ts';

/** Where a sentinel may be put: nowhere, into an empty directory, or into any directory without one. */
export type PlantPermission = 'never' | 'if-empty' | 'always';

export type PlantResult =
  | { readonly kind: 'planted' | 'present' | 'no-directory' | 'no-sentinel' }
  /** There is no sentinel, and the directory contains unknown files. */
  | { readonly kind: 'not-empty'; readonly example: string }
  | { readonly kind: 'unfit'; readonly reason: string; readonly hint: string }
  | { readonly kind: 'promoted'; readonly timeline: number }
  | { readonly kind: 'foreign'; readonly systemIdentifier: string }
  | { readonly kind: 'noisy' | 'unknown'; readonly reason: string };

export interface Planting {
  readonly cluster: Cluster;
  readonly pgdata: string;
  /** For the name of the temporary file. */
  readonly nonce: string;
  readonly permission: PlantPermission;
}

const permissionTests: Readonly<Record<PlantPermission, string>> = {
  never: 'echo no-sentinel; exit 0',
  // A file system that was made for the archive may have a lost+found of its own.
  'if-empty': `
  for other in * .[!.]* ..?*; do
    case $other in lost+found | .cmd_standby.lock | ${sentinelLockName}) continue ;; esac
    if [ -e "$other" ] || [ -h "$other" ]; then printf 'not-empty %s\\n' "$other"; exit 0; fi
  done`,
  always: ':',
};

/** Writes a sentinel if there is none and it is permitted; prints the existing one. Never replaces a sentinel. */
function plantScript(
  archivedir: string,
  content: string,
  nonce: string,
  permission: PlantPermission,
): string {
  const temporary = `${sentinelName}.${nonce}`;
  return `
LC_ALL=C; export LC_ALL; umask 077
[ -d ${shellQuote(archivedir)} ] || { echo no-directory; exit 0; }
cd ${shellQuote(archivedir)} || exit 1
if [ ! -e ${sentinelName} ]; then
  ${permissionTests[permission]}
fi
${refuseUnfitPlace(`${temporary}.probe`, `${temporary}.link`)}
if [ ! -e ${sentinelName} ]; then
  trap 'rm -f ${temporary}' EXIT
  printf %s ${shellQuote(content)} > ${temporary} && sync ${temporary} || exit 1
  ln ${temporary} ${sentinelName} 2>/dev/null && sync . && { echo planted; exit 0; }
fi
echo present
cat ${sentinelName}
`;
}

function readPresent(text: string, cluster: Cluster): PlantResult {
  const sentinel = parseSentinel(text);
  if (sentinel === undefined)
    return { kind: 'foreign', systemIdentifier: 'its sentinel contains no system identifier' };
  const { systemIdentifier, promotedAtTimeline } = sentinel;
  if (systemIdentifier !== cluster.systemIdentifier) return { kind: 'foreign', systemIdentifier };
  if (promotedAtTimeline !== undefined) return { kind: 'promoted', timeline: promotedAtTimeline };
  return { kind: 'present' };
}

function readAnswer(
  lines: readonly string[],
  planting: Planting,
  archivedir: string,
): PlantResult | undefined {
  const [first = '', ...rest] = lines;
  const [word = ''] = first.split(' ', 1);
  const fact = first.slice(word.length + 1).trim();
  switch (word) {
    case 'planted':
    case 'no-directory':
    case 'no-sentinel':
      return { kind: word };
    case 'not-empty':
      return { kind: word, example: quoted(fact) };
    case 'open':
    case 'no-links':
      return { kind: 'unfit', ...unfitness(word, fact, archivedir) };
    case 'present':
      return readPresent(rest.join('\n'), planting.cluster);
    default:
      return undefined;
  }
}

/**
 * Marks the archive directory of a reachable standby as this cluster's, if that is permitted and the directory exists
 * and has no owner.
 */
export async function plantSentinel(
  shell: RemoteShell,
  standby: StandbyTarget,
  planting: Planting,
): Promise<PlantResult> {
  const content = formatSentinel({
    systemIdentifier: planting.cluster.systemIdentifier,
    standby: standby.name,
    primaryPgdata: planting.pgdata,
    promotedAtTimeline: undefined,
    left: [],
  });
  const script = plantScript(standby.r_archivedir, content, planting.nonce, planting.permission);
  const answer = await shell.run(script, { limitMs: standby.ssh_timeout * 1000 });
  if (answer.kind === 'lost') return { kind: 'unknown', reason: answer.reason };
  const result = answer.status === 0 ? readAnswer(answer.lines, planting, standby.r_archivedir) : undefined;
  if (result !== undefined) return result;
  const said = [...answer.lines, shell.stderr()].join(' ').trim();
  return { kind: 'unknown', reason: `${standby.r_archivedir} cannot be used: ${quoted(said)}` };
}
