import { refusal } from '../../../../errors.ts';
import { describeResult, succeeded } from '../../../../system/command.ts';
import { requireProgram } from '../../../../system/find-program.ts';
import { remoteRsync, type RsyncProgram } from '../../../../system/rsync.ts';
import { dataWork } from '../../../../verbs/data-requests.ts';
import type { StandbyDeps } from '../../../deps.ts';
import type { Primary } from '../../../primary/primary.ts';
import { runRemotely } from '../../../primary/remote-files.ts';

/** The features of the rsyncs on both hosts. */
export interface RsyncAbility {
  readonly program: RsyncProgram;
  /** From 3.1.3 on rsync compares files by nanoseconds. Whole seconds would miss a change within the same second. */
  readonly comparesNanoseconds: boolean;
  /** Both ends have 3.1 or later. */
  readonly hasProgress: boolean;
  /** Both ends can compress by zstd (3.2 and later, where it was built in). */
  readonly bothHaveZstd: boolean;
  /** The same for lz4. */
  readonly bothHaveLz4: boolean;
}

const questionMs = 10_000;

export function parseRsyncVersion(text: string) {
  const match = /version v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (match === null) return undefined;
  const [major = 0, minor = 0, patch = 0] = match.slice(1).map(Number);
  return {
    major,
    num: major * 10_000 + minor * 100 + patch,
    hasZstd: /\bzstd\b/.test(text),
    hasLz4: /\blz4\b/.test(text),
  };
}

async function askRemoteRsync({ settings }: StandbyDeps, { shell }: Primary): Promise<string> {
  const command = remoteRsync(settings.rsync_flags);
  const { status, lines } = await runRemotely(shell, dataWork('rsync-version', {}, { rsync: command }));
  const isMissing = status === 127;
  if (!isMissing) return lines.join('\n');
  throw refusal(`there is no "${command}" on the primary ${shell.target.host}`, {
    detail: lines.join('\n'),
    hint: 'Install rsync there, or name it by --rsync-path=… in rsync_flags.',
  });
}

export async function observeRsync(deps: StandbyDeps, primary: Primary): Promise<RsyncAbility> {
  const { settings } = deps;
  const rsync = await requireProgram('rsync', settings.rsync, settings.includepath);
  const [result, said] = await Promise.all([
    deps.run({ ...rsync, args: [...rsync.args, '--version'] }, { limitMs: questionMs }),
    askRemoteRsync(deps, primary),
  ]);
  const here = succeeded(result) ? parseRsyncVersion(result.stdout) : undefined;
  const there = parseRsyncVersion(said);
  if (here === undefined)
    deps.log.warning(`cannot determine the version of "${rsync.program}": ${describeResult(result)}`);
  const older = Math.min(here?.num ?? 0, there?.num ?? 0);
  return {
    program: { rsync, flags: settings.rsync_flags, version: (here?.major ?? 3) < 3 ? 2 : 3 },
    comparesNanoseconds: (here?.num ?? 0) >= 30_103,
    hasProgress: older >= 30_100,
    bothHaveZstd: older >= 30_200 && here?.hasZstd === true && there?.hasZstd === true,
    bothHaveLz4: older >= 30_200 && here?.hasLz4 === true && there?.hasLz4 === true,
  };
}
