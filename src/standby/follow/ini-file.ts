import { readFile } from 'node:fs/promises';
import { editIniValue, insertIniValue } from '../../config/ini-edit.ts';
import { messageOf, PitrError } from '../../errors.ts';
import { replaceKept, whyNotReplaced } from '../../system/kept-file.ts';
import type { StandbyDeps } from '../deps.ts';

/** How other hosts, and people, name the server that is to be followed. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Whether the INI file names that server already, and if not, whether it can be changed. */
export type IniFact =
  | { readonly kind: 'unchanged' }
  /** `changes`: the lines as they will be, for people. */
  | { readonly kind: 'editable'; readonly changes: readonly string[] }
  | { readonly kind: 'impossible'; readonly reason: string };

interface Edited {
  readonly text: string;
  readonly changes: readonly string[];
}

const section = 'DEFAULT';
const hostKey = 'master_public_ip';

/** Throws the reason if it cannot be changed. */
function editedText(text: string, { settings }: StandbyDeps, { host, port }: Address): Edited {
  let edited: Edited = { text, changes: [] };
  const set = (key: string, value: string): void => {
    let edit = editIniValue(edited.text, section, key, value);
    if (edit.kind === 'absent') edit = insertIniValue(edited.text, section, hostKey, key, value);
    if (edit.kind === 'impossible') throw new Error(edit.reason);
    if (edit.kind === 'changed')
      edited = { text: edit.text, changes: [...edited.changes, `${key}: ${value}`] };
  };
  if (settings.master_public_ip !== host) set(hostKey, host);
  if (settings.port !== port) set('port', String(port));
  return edited;
}

/** @param deps with the settings of the file as it is */
export async function observeIni(deps: StandbyDeps, address: Address): Promise<IniFact> {
  try {
    const { changes } = editedText(await readFile(deps.iniFile, 'utf8'), deps, address);
    if (changes.length === 0) return { kind: 'unchanged' };
    const reason = await whyNotReplaced(deps.iniFile);
    return reason === undefined ? { kind: 'editable', changes } : { kind: 'impossible', reason };
  } catch (error) {
    return { kind: 'impossible', reason: messageOf(error) };
  }
}

/** Puts the address into the file; everything else in it stays. */
export async function changeIni(deps: StandbyDeps, address: Address): Promise<void> {
  const before = await readFile(deps.iniFile, 'utf8');
  let edited: Edited;
  try {
    edited = editedText(before, deps, address);
  } catch (error) {
    throw new PitrError(`cannot change "${deps.iniFile}": ${messageOf(error)}`);
  }
  if (edited.text !== before) await replaceKept(deps.iniFile, edited.text);
}
