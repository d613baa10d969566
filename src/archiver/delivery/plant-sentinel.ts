import type { StandbyTarget } from '../../config/options-archiver.ts';
import { quoted } from '../../system/printable.ts';
import { parseSentinel } from '../../system/sentinel.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { archiveWork } from '../../verbs/archive-requests.ts';
import type { PlantPermission } from '../../verbs/scripts/plant.ts';
import type { Cluster } from '../wal/cluster.ts';
import { unfitness } from './answers.ts';

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
  const { cluster, pgdata, nonce, permission } = planting;
  const place = { archivedir: standby.r_archivedir };
  const work = archiveWork('plant', place, {
    cluster: cluster.systemIdentifier,
    standby: standby.name,
    primaryPgdata: pgdata,
    nonce,
    permission,
  });
  const answer = await shell.run(work, { limitMs: standby.ssh_timeout * 1000 });
  if (answer.kind === 'lost') return { kind: 'unknown', reason: answer.reason };
  const result = answer.status === 0 ? readAnswer(answer.lines, planting, standby.r_archivedir) : undefined;
  if (result !== undefined) return result;
  const said = [...answer.lines, shell.stderr()].join(' ').trim();
  return { kind: 'unknown', reason: `${standby.r_archivedir} cannot be used: ${quoted(said)}` };
}
