import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import type { ControlFile } from '../../postgres/control-file.ts';
import { formatLsn, nameOf, segmentContaining, segmentNumber } from '../../postgres/lsn.ts';
import { exists } from '../../system/durable.ts';
import type { Shutdown } from '../../verbs/verbs.ts';
import { readOneRecord } from '../archive/read-records.ts';
import { readControlFile } from '../server/data-directory.ts';
import type { Server } from '../server/server.ts';

/** The segment with the checkpoint's record, and the next one where it exists: a record may continue there. */
async function segmentsOf({ pgdata, capabilities }: Server, control: ControlFile, segmentSize: number) {
  const { walDirName, walSegmentSkipsFF } = capabilities;
  const layout = { segmentSize, walSegmentSkipsFF };
  const first = segmentContaining(control.timeline, control.checkpointLsn, layout);
  const second = nameOf(control.timeline, segmentNumber(first, layout) + 1, layout);
  const files = [first, second].map((name) => ({ name, path: join(pgdata, walDirName, name.text) }));
  const [one, other] = files;
  if (one === undefined || other === undefined) return [];
  return (await exists(other.path)) ? [one, other] : [one];
}

/**
 * Where the WAL of a server ends that was shut down: nothing follows the record of its last checkpoint. A standby must have
 * replayed that record's end before it is promoted. Otherwise the old primary cannot follow it.
 */
export async function readShutdown(server: Server): Promise<Shutdown> {
  const { deps, pgdata } = server;
  const control = await readControlFile(pgdata);
  if (control === undefined) throw new PitrError(`pg_control in "${pgdata}" cannot be read`);
  if (control.state !== 'shut-down')
    throw new PitrError(
      `the server in "${pgdata}" was not shut down cleanly: its pg_control says "${control.state}"`,
    );
  const { timeline, checkpointLsn, walSegmentSize } = control;
  if (walSegmentSize === undefined) throw new PitrError('pg_control does not show the size of a segment');
  const segments = await segmentsOf(server, control, walSegmentSize);
  const read = await readOneRecord(segments, checkpointLsn, deps.signal);
  const where = `the record of the last checkpoint, at ${formatLsn(checkpointLsn)}`;
  if (read.kind === 'unknown') throw new PitrError(`cannot read ${where}: ${read.reason}`);
  if (read.end <= checkpointLsn) throw new PitrError(`cannot read ${where}: there is no complete record`);
  return { timeline, checkpoint: formatLsn(checkpointLsn), end: formatLsn(read.end) };
}
