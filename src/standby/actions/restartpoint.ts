import type { SegmentName } from '../../postgres/wal-name.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import { findProgram } from '../../system/find-program.ts';
import { keepStreamedWal } from '../archive/keep/keep.ts';
import { earlierOf } from '../archive/keep/kept-from.ts';
import type { StandbyDeps } from '../deps.ts';
import { readDataDirectory } from '../server/data-directory.ts';

const cleanupLimitMs = 60_000;

async function cleanUp({ settings, run, log }: StandbyDeps, oldest: SegmentName): Promise<void> {
  const { pg_archivecleanup: wanted, includepath, archivedir } = settings;
  if (wanted === undefined) return;
  const program = await findProgram(wanted.program, includepath);
  if (program === undefined) {
    log.warning(`there is no program "${wanted.program}" (key pg_archivecleanup): nothing is removed`);
    return;
  }
  const args = [...wanted.args, archivedir, oldest.text];
  const result = await run({ program, args }, { limitMs: cleanupLimitMs });
  if (!succeeded(result)) log.warning(`${wanted.program} failed: ${describeResult(result)}`);
}

/**
 * `--restartpoint`, as archive_cleanup_command: advances the slot that keeps streamed WAL, then removes archived WAL that
 * neither recovery nor the slot waits for. `bin/cmd_standby` calls it in the background.
 */
export async function atRestartpoint(deps: StandbyDeps, needed: SegmentName): Promise<number> {
  const directory = await readDataDirectory(deps.settings.pgdata);
  const visit = await keepStreamedWal(deps, directory);
  if (visit.kind === 'unknown') {
    // It is not known what the slot waits for, so nothing may be removed. A server that is being stopped answers nobody.
    deps.log.debug(`nothing is removed from the archive: ${visit.reason}`);
    return 0;
  }
  if (visit.kind !== 'held') {
    await cleanUp(deps, needed);
    return 0;
  }
  const layout = {
    segmentSize: visit.segmentSize,
    walSegmentSkipsFF: directory.capabilities.walSegmentSkipsFF,
  };
  await cleanUp(deps, earlierOf(needed, visit.from, layout));
  return 0;
}
