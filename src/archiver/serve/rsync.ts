/** rsync for a restricted key: its daemon for one connection, with the directories of this host's cluster to read. */
import { messageOf, PitrError } from '../../errors.ts';
import { runInPlace } from '../../system/command.ts';
import { writePrivately } from '../../system/files.ts';
import { requireProgram } from '../../system/find-program.ts';
import { withPrivateFile } from '../../system/private-directory.ts';
import { daemonArguments, daemonConfiguration, readDaemonLine } from '../../system/rsync-daemon.ts';
import type { ArchiverDeps } from '../deps.ts';
import { observeGround, readableModules, strayLinks } from './ground.ts';
import { offeredModules } from './offer.ts';

interface Refused {
  readonly refused: string;
}

async function configurationHere(deps: ArchiverDeps): Promise<string | Refused> {
  try {
    const ground = await observeGround(deps.settings.pgdata);
    const stray = await strayLinks(deps.run, ground, deps.signal);
    if (stray !== undefined) return { refused: stray };
    return daemonConfiguration([...(await readableModules(ground)), ...(await offeredModules(deps))]);
  } catch (error) {
    deps.signal.throwIfAborted();
    return { refused: error instanceof PitrError ? error.message : messageOf(error) };
  }
}

/** @returns the exit status, or why it is refused */
export async function serveRsync(deps: ArchiverDeps, line: string): Promise<number | Refused> {
  const { settings } = deps;
  const priority = readDaemonLine(line);
  if (priority === undefined)
    return { refused: 'this key allows rsync as a daemon only: rsync --server --daemon .' };
  const configuration = await configurationHere(deps);
  if (typeof configuration !== 'string') return configuration;
  const { program, args } = await requireProgram('rsync_bin', settings.rsync_bin, settings.includepath);
  return withPrivateFile('files', async (file) => {
    await writePrivately(file, configuration);
    const [first = program, ...rest] = [...priority, program, ...args, ...daemonArguments(file)];
    return runInPlace({ program: first, args: rest }, '/');
  });
}
