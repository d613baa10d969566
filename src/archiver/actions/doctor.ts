import { join, resolve } from 'node:path';
import { requireKnown } from '../../check/arguments.ts';
import { runChecks } from '../../check/check.ts';
import { showChecks } from '../../check/show.ts';
import { programRoot } from '../../system/program-root.ts';
import { archiverChecks } from '../check/checks.ts';
import { archiverCheck } from '../check/context.ts';
import type { ArchiverDeps } from '../deps.ts';

interface DoctorOptions {
  /** None: all checks. */
  readonly names: readonly string[];
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** `--check`: tries whether this host and its standbys work together. @returns the exit status */
export async function checkAll(
  deps: ArchiverDeps,
  iniFile: string,
  { names, dryRun, json }: DoctorOptions,
): Promise<number> {
  requireKnown(names, archiverChecks);
  const path = resolve(iniFile);
  const command = `${join(programRoot(), 'bin', 'cmd_archiver')} -C ${path}`;
  const context = archiverCheck(deps, { iniFile: path, dryRun, command });
  const found = await runChecks(deps, archiverChecks, names, context);
  return showChecks({ program: 'cmd_archiver', host: deps.hostName, atMs: deps.now(), found }, json);
}
