import { join } from 'node:path';

/** The paths in l_archivedir; see doc/architecture.md, "Files on disk". The paths of one standby: lane/lane.ts. */
export interface Layout {
  readonly root: string;
  readonly privateDirectory: string;
  /** Unfinished copies, named `PID.NAME`. */
  readonly temporary: string;
  readonly systemIdentifier: string;
}

const privateName = '.archiver';

export function layoutOf(archiveDirectory: string): Layout {
  const privateDirectory = join(archiveDirectory, privateName);
  return {
    root: archiveDirectory,
    privateDirectory,
    temporary: join(privateDirectory, 'tmp'),
    systemIdentifier: join(privateDirectory, 'system_identifier'),
  };
}
