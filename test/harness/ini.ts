import { writeFileSync } from 'node:fs';

/** `undefined` leaves a key out of the file. */
export type IniKeys = Readonly<Record<string, string | number | undefined>>;

export interface IniText {
  readonly keys: IniKeys;
  readonly sections?: Readonly<Record<string, IniKeys>> | undefined;
}

/** Writes `[DEFAULT]` and a section per name; 0600, because a standby's file holds a password. */
export function writeIni(file: string, text: IniText): void {
  const sections = Object.entries(text.sections ?? {}).map(
    ([name, keys]) => `\n[${name}]\n${iniLines(keys)}`,
  );
  writeFileSync(file, `[DEFAULT]\n${iniLines(text.keys)}${sections.join('')}`, { mode: 0o600 });
}

function iniLines(keys: IniKeys): string {
  return Object.entries(keys)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${String(value)}\n`)
    .join('');
}
