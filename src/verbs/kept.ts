import { describeResult } from '../system/command.ts';
import type { StandbyCommand } from '../system/sentinel.ts';
import { refusalMark } from '../system/served.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { RemoteShell } from '../system/ssh.ts';
import { type Answered, readAnswer, verbLine, type VerbResult } from './call.ts';
import { answerMark, type ArgumentsOf, callsWord, servesLines, type VerbName } from './verbs.ts';

/** A cmd_standby on another host that runs already, and answers one call after the other without being started for each. */
export interface KeptAnswerer {
  /** Undefined if it cannot be asked now: it has ended, or answers another call. Then nothing was asked. */
  readonly call: <Name extends VerbName>(
    name: Name,
    args: ArgumentsOf<Name>,
    limitMs: number,
  ) => Promise<VerbResult<Name> | undefined>;
  readonly end: () => void;
}

export function keepAnswerer(shell: RemoteShell, { program, iniFile }: StandbyCommand): KeptAnswerer {
  let finish: ((said: Answered) => void) | undefined;
  let isOpen = true;
  const onLine = (line: string): void => {
    if (line.startsWith(answerMark)) finish?.({ kind: 'answered', text: line.slice(answerMark.length) });
    else if (line.startsWith(refusalMark))
      finish?.({ kind: 'refused', said: line.slice(refusalMark.length) });
  };
  const words = [program, '-C', iniFile, '--serve', servesLines];
  const session = shell.start({ script: words.map(shellQuote).join(' '), request: callsWord }, { onLine });
  const end = (): void => {
    isOpen = false;
    session.close();
    session.kill();
  };
  void session.ended.then((result) => {
    isOpen = false;
    finish?.({ kind: 'lost', reason: describeResult(result) });
  });

  const ask = async (line: string, limitMs: number): Promise<Answered> => {
    let timer: NodeJS.Timeout | undefined;
    const said = await new Promise<Answered>((resolve) => {
      finish = resolve;
      timer = setTimeout(() => {
        resolve({ kind: 'lost', reason: `no answer within ${Math.round(limitMs / 1000)} s` });
        // Its answer would be taken for that of the next call.
        end();
      }, limitMs);
      session.write(`${line}\n`);
    });
    clearTimeout(timer);
    finish = undefined;
    return said;
  };

  return {
    call: async (name, args, limitMs) => {
      if (!isOpen || finish !== undefined) return undefined;
      return readAnswer(shell, name, await ask(verbLine(name, args), limitMs));
    },
    end,
  };
}
