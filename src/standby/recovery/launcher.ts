import { join, resolve } from 'node:path';

/** Our own `bin/cmd_standby`, which the server runs as its restore_command. */
export function launcherPath(): string {
  // From dist/standby/recovery as from src/standby/recovery.
  return join(resolve(import.meta.dirname, '..', '..', '..'), 'bin', 'cmd_standby');
}
