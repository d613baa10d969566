import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../errors.ts';
import { programRoot } from '../../system/program-root.ts';
import { type StandbyCommand, updateSentinel } from '../../system/sentinel.ts';
import type { StandbyDeps } from '../deps.ts';

/** How other hosts call cmd_standby here. */
export function ownCommand({ iniFile }: Pick<StandbyDeps, 'iniFile'>): StandbyCommand {
  return { program: join(programRoot(), 'bin', 'cmd_standby'), iniFile };
}

function isUsable({ program, iniFile }: StandbyCommand): boolean {
  try {
    accessSync(program, constants.X_OK);
    accessSync(iniFile, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The call that the sentinel is to name: the one that it names already, unless its program or INI file has been moved
 * since, as when pitrtools was installed in another place.
 */
export function commandToNote(noted: StandbyCommand | undefined, deps: StandbyDeps): StandbyCommand {
  return noted !== undefined && isUsable(noted) ? noted : ownCommand(deps);
}

/** Nothing else depends on the sentinel's naming it: a failure is a warning. */
export async function noteOwnCommand(deps: StandbyDeps): Promise<void> {
  const { archivedir } = deps.settings;
  try {
    await updateSentinel(deps.run, archivedir, (sentinel) => {
      if (sentinel === undefined) throw new Error('it has no sentinel');
      return { ...sentinel, command: commandToNote(sentinel.command, deps) };
    });
  } catch (error) {
    deps.log.warning(
      `"${archivedir}" does not say how cmd_standby is called here (${messageOf(error)}): other hosts cannot ask it`,
    );
  }
}
