import { access, constants, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Archiving, type ArchivingVerdict, judgeArchiving } from '../../config/archive-command.ts';
import { findProgram } from '../../system/find-program.ts';
import { programRoot } from '../../system/program-root.ts';

/** The program and INI file that archive_command should use. */
export interface Own {
  readonly pgdata: string;
  readonly iniFile: string;
}

async function isSamePath(one: string, other: string): Promise<boolean> {
  const paths = await Promise.all([one, other].map((path) => realpath(path).catch(() => path)));
  return paths[0] === paths[1];
}

/** PostgreSQL's shell works in the data directory, with the server's PATH, which may differ from ours. */
async function programProblem(program: string, pgdata: string): Promise<string | undefined> {
  const path = program.includes('/') ? resolve(pgdata, program) : await findProgram(program, []);
  if (path === undefined) return `there is no program "${program}" in our PATH`;
  const isThere = await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isThere) return `there is no program "${path}" that can be run`;
  const launcher = join(programRoot(), 'bin', 'cmd_archiver');
  return (await isSamePath(path, launcher)) ? undefined : `it runs "${path}" instead of "${launcher}"`;
}

async function iniProblem(iniFile: string, own: Own): Promise<string | undefined> {
  const path = resolve(own.pgdata, iniFile);
  if (await isSamePath(path, own.iniFile)) return undefined;
  return `it uses the INI file "${path}" instead of "${own.iniFile}"`;
}

/** Whether PostgreSQL archives by this very program and INI file. */
export async function judgeOwnArchiving(archiving: Archiving, own: Own): Promise<ArchivingVerdict> {
  const verdict = judgeArchiving(archiving);
  if (verdict.kind !== 'call') return verdict;
  const { program, iniFile } = verdict.call;
  const problems = await Promise.all([programProblem(program, own.pgdata), iniProblem(iniFile, own)]);
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length === 0) return verdict;
  return { kind: 'wrong', reason: `archive_command is "${archiving.archiveCommand}": ${found.join('; ')}` };
}
