/** Reads what a client with a restricted key asks for. Whatever is not in the tables is refused. */
import { messageOf } from '../errors.ts';
import { readVerbCall, type VerbCall } from './read-call.ts';
import { type AnyScriptRequest, readWords } from './request.ts';
import { verbs } from './verbs.ts';

/** Longer than a commit of the largest batch, and than the names of all segments that a former primary may offer. */
export const longestRequest = 1024 * 1024;

export type ScriptTable = Readonly<Record<string, Pick<AnyScriptRequest, 'arguments'>>>;

export type ReadRequest =
  | { readonly kind: 'verb'; readonly call: VerbCall }
  | { readonly kind: 'script'; readonly name: string; readonly values: Readonly<Record<string, unknown>> }
  | { readonly kind: 'refused'; readonly reason: string; readonly needsRoles?: true };

const refused = (reason: string): ReadRequest => ({ kind: 'refused', reason });

function readVerb(line: string, roles: boolean): ReadRequest {
  try {
    const call = readVerbCall(line);
    if (!roles && verbs[call.name].changesRole)
      return { kind: 'refused', reason: `${call.name} needs --serve --roles`, needsRoles: true };
    return { kind: 'verb', call };
  } catch (error) {
    return refused(messageOf(error));
  }
}

/** `scripts`: the requests of this side that scripts carry out. `roles`: the key may change roles. */
export function readRequest(line: string, scripts: ScriptTable, roles: boolean): ReadRequest {
  if (line.length > longestRequest) return refused('the request is too long');
  const [name = '', ...words] = line.split(' ');
  if (Object.hasOwn(verbs, name)) return readVerb(line, roles);
  const request = Object.hasOwn(scripts, name) ? scripts[name] : undefined;
  if (request === undefined) return refused('this is none of the requests that the key allows');
  const read = readWords(request.arguments, words);
  if ('wrong' in read) return refused(`${name}: ${read.wrong}`);
  return { kind: 'script', name, values: read.values };
}
