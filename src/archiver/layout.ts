import { join } from 'node:path';

/** Where everything lies in l_archivedir; see doc/architecture.md, "Files on disk". */
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

export function queueOf(layout: Layout, standby: string): string {
  return join(layout.root, standby);
}

export function stateFileOf(layout: Layout, standby: string): string {
  return join(layout.privateDirectory, `${standby}.json`);
}

/** There as long as nothing was ever delivered to that name. */
export function undeliveredFileOf(layout: Layout, standby: string): string {
  return join(layout.privateDirectory, `${standby}.undelivered`);
}

export function lockFileOf(layout: Layout, standby: string): string {
  return join(layout.privateDirectory, `${standby}.lock`);
}
