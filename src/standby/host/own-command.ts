import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { programRoot } from '../../system/program-root.ts';
import { type StandbyCommand, updateSentinel } from '../../system/sentinel.ts';
import type { StandbyDeps } from '../deps.ts';

/** How other hosts call cmd_standby here. */
export function ownCommand({ iniFile }: StandbyDeps): StandbyCommand {
  return { program: join(programRoot(), 'bin', 'cmd_standby'), iniFile };
}

/** Has the sentinel say it, if an older version wrote it. Nothing else depends on it: a failure is a warning. */
export async function noteOwnCommand(deps: StandbyDeps): Promise<void> {
  const { archivedir } = deps.settings;
  try {
    await updateSentinel(deps.run, archivedir, (sentinel) => {
      if (sentinel === undefined) throw new Error('it has no sentinel');
      return { ...sentinel, command: sentinel.command ?? ownCommand(deps) };
    });
  } catch (error) {
    deps.log.warning(
      `"${archivedir}" does not say how cmd_standby is called here (${messageOf(error)}): other hosts cannot ask it`,
    );
  }
}
