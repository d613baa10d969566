/**
 * The verbs that concern this host's server are those of cmd_standby (verbs/verbs.ts). A key for the side of the data
 * leads to cmd_archiver, which asks the cmd_standby of the same installation.
 */
import { join } from 'node:path';
import { exitCodes } from '../../errors.ts';
import { describeResult, type Session, type StartSession } from '../../system/command.ts';
import { quoted } from '../../system/printable.ts';
import { programRoot } from '../../system/program-root.ts';
import { refusalMark } from '../../system/served.ts';
import { verbLine } from '../../verbs/call.ts';
import type { VerbCall } from '../../verbs/read-call.ts';
import { answerMark, servesLines } from '../../verbs/verbs.ts';

interface Answerer {
  readonly call: (call: VerbCall, write: (text: string) => void) => Promise<number>;
  readonly end: () => Promise<void>;
}

/** One cmd_standby for all verbs of a session: it is started with the first one. */
export function verbAnswerer(startSession: StartSession, iniFile: string): Answerer {
  let opened: { readonly session: Session; readonly failed: () => string | undefined } | undefined;
  let onAnswer: ((line: string) => void) | undefined;
  const open = () => {
    const program = join(programRoot(), 'bin', 'cmd_standby');
    let failed: string | undefined;
    const session = startSession(
      { program, args: ['-C', iniFile, '--serve', servesLines] },
      {
        onLine: (line) => {
          if (line.startsWith(answerMark) || line.startsWith(refusalMark)) onAnswer?.(line);
        },
      },
    );
    void session.ended.then((result) => {
      failed = describeResult(result);
      onAnswer?.(`${refusalMark}cmd_standby has ended there: ${quoted(failed, 2000)}`);
    });
    return { session, failed: () => failed };
  };
  return {
    call: async ({ name, arguments: args }, write) => {
      opened ??= open();
      const { session, failed } = opened;
      const line = await new Promise<string>((resolve) => {
        onAnswer = resolve;
        const reason = failed();
        if (reason === undefined) session.write(`${verbLine(name, args as never)}\n`);
        else resolve(`${refusalMark}${quoted(reason, 2000)}`);
      });
      onAnswer = undefined;
      write(`${line}\n`);
      return line.startsWith(answerMark) ? 0 : exitCodes.failure;
    },
    end: async () => {
      if (opened === undefined) return;
      opened.session.close();
      await opened.session.ended;
    },
  };
}
