import type { StandbyTarget } from '../config/options-archiver.ts';
import type { RemoteShell } from '../system/ssh.ts';
import { formatSentinel, parseSentinel, sentinelName } from '../system/sentinel.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { Cluster } from './cluster.ts';

export type PlantResult =
  | { readonly kind: 'planted' | 'present' | 'no-directory' }
  | { readonly kind: 'promoted'; readonly timeline: number }
  | { readonly kind: 'foreign'; readonly systemIdentifier: string }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Planting {
  readonly cluster: Cluster;
  readonly pgdata: string;
  /** For the name of the temporary file. */
  readonly nonce: string;
}

/** Puts a sentinel where there is none; prints the one that is there. Never replaces one. */
export function plantScript(archivedir: string, content: string, nonce: string): string {
  const temporary = `${sentinelName}.${nonce}`;
  return `
umask 077
[ -d ${shellQuote(archivedir)} ] || { echo no-directory; exit 0; }
cd ${shellQuote(archivedir)} || exit 1
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
  if (sentinel === undefined) return { kind: 'foreign', systemIdentifier: 'its sentinel names none' };
  const { systemIdentifier, promotedAtTimeline } = sentinel;
  if (systemIdentifier !== cluster.systemIdentifier) return { kind: 'foreign', systemIdentifier };
  if (promotedAtTimeline !== undefined) return { kind: 'promoted', timeline: promotedAtTimeline };
  return { kind: 'present' };
}

/** Marks the archive directory of a reachable standby as this cluster's, if it is there and nobody's. */
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
  });
  const script = plantScript(standby.r_archivedir, content, planting.nonce);
  const answer = await shell.run(script, { limitMs: standby.ssh_timeout * 1000 });
  if (answer.kind === 'lost') return { kind: 'unknown', reason: answer.reason };
  const [word, ...rest] = answer.lines;
  if (word === 'planted' || word === 'no-directory') return { kind: word };
  if (answer.status === 0 && word === 'present') return readPresent(rest.join('\n'), planting.cluster);
  const said = [...answer.lines, shell.stderr()].join(' ').trim();
  return { kind: 'unknown', reason: `${standby.r_archivedir} cannot be used: ${said}` };
}
