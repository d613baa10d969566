/** The space that the WAL of a copy takes. */
import { parametersOfFiles, startParameters } from '../server/parameters.ts';
import type { Origin } from './origin.ts';

const mebibyte = 1024 * 1024;
/** A restartpoint that max_wal_size brings about leaves the WAL since the one before it, and more comes until it has ended. */
const distances = 3;
/** A server that was promoted writes on, and makes the next segment beforehand. */
const newSegments = 3;

/** Recovery keeps in pg_wal what it restores from the archive, until a restartpoint. Undefined if there is no bound. */
async function mostRestored({ server, configuration }: Origin): Promise<number | undefined> {
  const name = 'max_wal_size';
  const start = startParameters(server, 'standby', configuration);
  const megabytes = Number((await parametersOfFiles(server, [name], start)).get(name));
  return Number.isInteger(megabytes) ? distances * megabytes * mebibyte : undefined;
}

/** WAL of a running standby in the archive is copied before the standby may let go of it. */
export async function walBytes(origin: Origin): Promise<number> {
  const { wal, state } = origin;
  const { segmentSize } = wal.layout;
  const names = new Set(wal.segments.map(({ name }) => name.text));
  const archived = names.size * segmentSize;
  const own = wal.inPgWal.filter(({ text }) => !names.has(text)).length + newSegments;
  const restored = Math.min(archived, (await mostRestored(origin)) ?? archived);
  return own * segmentSize + restored + (state.kind === 'recovering' ? archived : 0);
}
