import { join } from 'node:path';
import { programRoot } from '../../system/program-root.ts';

/** Our own `bin/cmd_standby`, which the server runs as its restore_command. */
export function launcherPath(): string {
  return join(programRoot(), 'bin', 'cmd_standby');
}
