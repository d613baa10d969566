import { judgeArchiving } from '../../config/archive-command.ts';
import { dataWork } from '../../verbs/data-requests.ts';
import type { Primary } from './primary.ts';
import { runRemotely } from './remote-files.ts';

/**
 * PostgreSQL's shell works in the data directory. A bare name is looked up on the server's PATH, which is unknown
 * here.
 */
async function whatIsMissing(
  { shell, facts }: Pick<Primary, 'shell' | 'facts'>,
  program: string,
  iniFile: string,
): Promise<string | undefined> {
  const work = dataWork('archive-program', { root: facts.dataDirectory, program, ini: iniFile });
  const { status } = await runRemotely(shell, work);
  if (status === 11) return `there is no program "${program}" that can be run`;
  return status === 12 ? `there is no INI file "${iniFile}"` : undefined;
}

/**
 * The reason why PostgreSQL on the primary cannot archive by the cmd_archiver that its archive_command names. A
 * shipper delivers all the same, and nothing else shows the problem: an archiver process that ends by such a command
 * counts no failure. Undefined if nothing is wrong, or if it cannot be determined: another program, or no ssh to the
 * primary.
 */
export async function findArchiveCommandProblem(primary: Primary): Promise<string | undefined> {
  const { settings } = primary.facts;
  if (settings.archiveMode === 'off' || settings.archiveCommand === '') return undefined;
  const verdict = judgeArchiving(settings);
  if (verdict.kind === 'wrong' && settings.archiveLibrary === '') return verdict.reason;
  if (verdict.kind !== 'call' || primary.protocol !== undefined) return undefined;
  const { program, iniFile } = verdict.call;
  const missing = await whatIsMissing(primary, program, iniFile);
  return missing === undefined ? undefined : `archive_command is "${settings.archiveCommand}": ${missing}`;
}
