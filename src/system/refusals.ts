/** The refusals of restricted keys: in the system's log, and in a file of our own. */
import { rename } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { RunCommand } from './command.ts';
import { sizeOf } from './durable.ts';
import { appendPrivately } from './files.ts';
import { findProgram } from './find-program.ts';
import { timeStamp } from './log.ts';
import { quoted } from './printable.ts';

/** In the archive of a standby. */
export const refusalsName = '.cmd_standby.refused';

/** Two files of this size exist at most, and the line that makes one longer. */
const logBytes = 512 * 1024;
const loggerLimitMs = 3_000;

export interface RefusalLog {
  readonly run: RunCommand;
  readonly now: () => number;
  readonly program: 'cmd_archiver' | 'cmd_standby';
  /** Undefined if there is no directory for it: then the system's log alone has it. */
  readonly file: string | undefined;
  /** As sshd says it: `ADDRESS PORT ADDRESS PORT`. */
  readonly connection: string | undefined;
}

async function writeToFile({ file, now }: RefusalLog, line: string): Promise<void> {
  if (file === undefined) return;
  // Two processes may do so at once: what is lost then is an older part.
  if ((await sizeOf(file).catch(() => 0)) >= logBytes) await rename(file, `${file}.1`);
  await appendPrivately(file, `${timeStamp(now())} ${line}\n`);
}

async function writeToSystemLog({ run, program }: RefusalLog, line: string): Promise<void> {
  const logger = await findProgram('logger', []);
  if (logger === undefined) return;
  await run(
    { program: logger, args: ['-t', program, '-p', 'auth.warning', '--', line] },
    { limitMs: loggerLimitMs },
  );
}

/** Never fails: a refusal stands even where nothing can be written. @returns why the file does not have it, if so */
export async function logRefusal(
  log: RefusalLog,
  asked: string,
  reason: string,
): Promise<string | undefined> {
  const client = quoted(log.connection?.split(' ')[0] ?? '', 60) || 'unknown';
  const line = `--serve refused client ${client}: "${quoted(asked)}": ${quoted(reason)}`;
  const [written] = await Promise.allSettled([writeToFile(log, line), writeToSystemLog(log, line)]);
  return written.status === 'rejected' ? messageOf(written.reason) : undefined;
}
