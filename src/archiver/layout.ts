import { join } from 'node:path';

/** The paths in l_archivedir; see doc/architecture.md, "Files on disk". The paths of one standby: lane/lane.ts. */
export type Layout = Readonly<ReturnType<typeof layoutOf>>;

export function layoutOf(archiveDirectory: string) {
  const privateDirectory = join(archiveDirectory, '.archiver');
  return {
    root: archiveDirectory,
    privateDirectory,
    /** Unfinished copies, named `PID.NAME`. */
    temporary: join(privateDirectory, 'tmp'),
    /** Queued segments that are unpacked for a standby, in directories named `PID.NONCE`. */
    unpacked: join(privateDirectory, 'unpacked'),
    /** Frames of the running shipper: nothing relies on them. */
    frames: join(privateDirectory, 'frames'),
    systemIdentifier: join(privateDirectory, 'system_identifier'),
  };
}
