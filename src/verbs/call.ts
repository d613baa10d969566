import { messageOf } from '../errors.ts';
import { checkFields } from '../system/json.ts';
import { quoted } from '../system/printable.ts';
import type { StandbyCommand } from '../system/sentinel.ts';
import { refusalMark } from '../system/served.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { RemoteShell } from '../system/ssh.ts';
import type { AnyArgument } from './arguments.ts';
import { answerMark, type AnswerOf, type ArgumentsOf, type VerbName, verbs } from './verbs.ts';

export type VerbResult<Name extends VerbName> =
  | { readonly kind: 'answered'; readonly answer: AnswerOf<Name> }
  /** It was asked, and could not do it, or its answer is not understood: see `reason`. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The connection broke: whether the verb was carried out is unknown. */
  | { readonly kind: 'lost'; readonly reason: string };

/** The line that asks for a verb: `mark-left 1 0/A300B2F8 hostb`. */
export function verbLine<Name extends VerbName>(name: Name, args: ArgumentsOf<Name>): string {
  const values: Readonly<Record<string, unknown>> = args;
  const kinds: readonly [string, AnyArgument][] = Object.entries(verbs[name].arguments);
  return [name, ...kinds.map(([key, { format }]) => format(values[key] as never))].join(' ');
}

/** The other end's word for a call, before it is understood. */
export type Answered =
  | { readonly kind: 'answered'; readonly text: string }
  | { readonly kind: 'refused'; readonly said: string }
  | { readonly kind: 'lost'; readonly reason: string };

export function readAnswer<Name extends VerbName>(
  { target }: RemoteShell,
  name: Name,
  said: Answered,
): VerbResult<Name> {
  if (said.kind === 'lost') return said;
  if (said.kind === 'refused')
    return { kind: 'refused', reason: `${target.what} answered "${name}" with: ${quoted(said.said)}` };
  try {
    // The guards of this verb's answer have checked the value; the compiler cannot see that `name` chose them.
    const answer = checkFields(JSON.parse(said.text), verbs[name].answer) as AnswerOf<Name>;
    return { kind: 'answered', answer };
  } catch (error) {
    return { kind: 'refused', reason: `its answer to "${name}" is not understood: ${messageOf(error)}` };
  }
}

/** The course of a run hides why it failed. */
function complaintOf(lines: readonly string[]): string {
  const complaint = lines.filter((line) => !/^(DEBUG|NOTICE): /.test(line));
  return (complaint.length === 0 ? lines : complaint).join(' ').trim();
}

/** Asks the cmd_standby of another host, over an open connection. `limitMs`: milliseconds until the connection is given up. */
export async function callVerb<Name extends VerbName>(
  shell: RemoteShell,
  { program, iniFile }: StandbyCommand,
  name: Name,
  args: ArgumentsOf<Name>,
  limitMs: number,
): Promise<VerbResult<Name>> {
  const request = verbLine(name, args);
  const words = [program, '-C', iniFile, '--serve', request];
  const script = `${words.map(shellQuote).join(' ')} 2>&1`;
  const result = await shell.run({ script, request }, { limitMs });
  if (result.kind === 'lost') return result;
  const { status, lines } = result;
  const text = lines.find((line) => line.startsWith(answerMark))?.slice(answerMark.length);
  if (status === 0 && text !== undefined) return readAnswer(shell, name, { kind: 'answered', text });
  const refusal = lines.find((line) => line.startsWith(refusalMark))?.slice(refusalMark.length);
  const said = refusal ?? (complaintOf(lines) || `exit status ${status}`);
  return readAnswer(shell, name, { kind: 'refused', said });
}
