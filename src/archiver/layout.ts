import { join } from 'node:path';

/** Where everything lies in l_archivedir; see doc/architecture.md, "Files on disk". What belongs to one standby: lane/lane.ts. */
export interface Layout {
  readonly root: string;
  readonly privateDirectory: string;
  /** Copies in the making, named `PID.NAME`. */
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
