/** Which of the standbys in an INI file a host is: names and addresses do not always show it. */
import type { ArchiverSettings, StandbyTarget } from '../../config/options-archiver.ts';
import type { RemoteShell } from '../../system/ssh.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import type { StandbyDeps } from '../deps.ts';
import { withSibling } from '../siblings/ask.ts';

/** Two answers are equal only from the same directory of the same running system. */
async function identityOf(
  shell: RemoteShell,
  directory: string,
  limitMs: number,
): Promise<string | undefined> {
  const result = await shell.run(dataWork('identity', { directory }), { limitMs });
  if (result.kind === 'lost' || result.status !== 0) return undefined;
  return result.lines.find((line) => line.startsWith('this: '));
}

/**
 * The one whose host is that of this connection; undefined if none is, or if it could not be asked.
 *
 * @param directory the data of its server
 */
export async function findHost(
  deps: StandbyDeps,
  archiver: ArchiverSettings,
  targets: readonly StandbyTarget[],
  shell: RemoteShell,
  directory: string,
): Promise<StandbyTarget | undefined> {
  const limitMs = deps.settings.failover_probe_timeout * 1000;
  const wanted = await identityOf(shell, directory, limitMs);
  if (wanted === undefined) return undefined;
  const found = targets.map(async (target) => {
    const used = await withSibling(deps, archiver, target, limitMs, (own) =>
      identityOf(own, directory, limitMs),
    );
    return used.kind === 'used' && used.value === wanted ? target : undefined;
  });
  return (await Promise.all(found)).find((target) => target !== undefined);
}
