import { statSync } from 'node:fs';
import { defaultIni } from './config/default-ini.ts';
import { messageOf, usageError } from './errors.ts';
import { systemErrorCode } from './system/durable.ts';

/** The INI file of a call: that of `-C`, otherwise the default if it is there. Throws a usage error if there is none. */
export function iniFileOf(
  program: string,
  given: string | undefined,
  byDefault = defaultIni(program),
): string {
  if (given !== undefined) return given;
  try {
    statSync(byDefault);
    return byDefault;
  } catch (error) {
    const isAbsent = ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
    throw usageError(
      isAbsent
        ? `no INI file is given, and there is no ${byDefault}`
        : `no INI file is given, and whether there is ${byDefault} cannot be seen: ${messageOf(error)}`,
      `Add it: ${program} -C FILE …; ${program} --setup makes one.`,
    );
  }
}
