/** The command line of --status, which both programs have. */
import { plainKinds } from '../config/option-values.ts';
import { usageError } from '../errors.ts';
import { quoted } from '../system/printable.ts';
import type { StatusLimits } from './limits.ts';
import type { StatusForm } from './show.ts';

export interface StatusOptions {
  readonly json?: true;
  readonly nagios?: true;
  readonly prometheus?: string | true;
  readonly watch?: string | true;
  readonly warning?: string;
  readonly critical?: string;
}

export interface StatusRequest {
  readonly form: StatusForm;
  /** In place of the INI file's. */
  readonly limits: Partial<StatusLimits>;
}

const defaultWatchS = 5;

function secondsOf(text: string, hint: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.5 && seconds <= 3600) return seconds;
  throw usageError(`--watch "${quoted(text, 100)}" is not a number of seconds from 0.5 to 3600`, hint);
}

function formOf(options: StatusOptions, hint: string): StatusForm {
  const { json, nagios, prometheus, watch } = options;
  const forms: { readonly word: string; readonly form: StatusForm }[] = [];
  if (json) forms.push({ word: '--json', form: { kind: 'json' } });
  if (nagios) forms.push({ word: '--nagios', form: { kind: 'nagios' } });
  if (prometheus !== undefined) {
    const file = prometheus === true ? undefined : prometheus;
    forms.push({ word: '--prometheus', form: { kind: 'prometheus', file } });
  }
  if (watch !== undefined) {
    const everyS = watch === true ? defaultWatchS : secondsOf(watch, hint);
    forms.push({ word: '--watch', form: { kind: 'watch', everyS } });
  }
  if (forms.length > 1)
    throw usageError(`${forms.map(({ word }) => word).join(' and ')} cannot be used together`, hint);
  return forms[0]?.form ?? { kind: 'people' };
}

/** `SIZE,SECONDS`, such as `64MB,300`. */
function behindOf(
  word: string,
  text: string,
  hint: string,
): { readonly size: number; readonly time: number } {
  const [sizeWord = '', timeWord = '', ...rest] = text.split(',');
  const size = plainKinds.size(sizeWord.trim());
  const time = Number(timeWord);
  if (size.kind === 'value' && /^\s*\d{1,8}\s*$/.test(timeWord) && rest.length === 0)
    return { size: size.value, time };
  throw usageError(`${word} "${quoted(text, 100)}" is not SIZE,SECONDS, such as 64MB,300`, hint);
}

export function statusRequest(options: StatusOptions, hint: string): StatusRequest {
  const { warning, critical } = options;
  const warn = warning === undefined ? undefined : behindOf('--warning', warning, hint);
  const crit = critical === undefined ? undefined : behindOf('--critical', critical, hint);
  if (
    warn &&
    crit &&
    warn.size >= crit.size &&
    warn.time >= crit.time &&
    (warn.size > crit.size || warn.time > crit.time)
  )
    throw usageError('--warning is above --critical, so nothing would ever be a warning', hint);
  return {
    form: formOf(options, hint),
    limits: {
      ...(warn && { behind_warning_size: warn.size, behind_warning_time: warn.time }),
      ...(crit && { behind_critical_size: crit.size, behind_critical_time: crit.time }),
    },
  };
}

/** Options that say nothing without --status. */
export function strayStatusOption(options: StatusOptions): string | undefined {
  const { nagios, prometheus, watch, warning, critical } = options;
  const given = { nagios, prometheus, watch, warning, critical };
  return Object.entries(given).find(([, value]) => value !== undefined)?.[0];
}

/** For both programs' tables of flags. */
export const statusFlags = {
  status: [
    'Look',
    '--status',
    'show the state of this host and of all that it knows, and each trouble',
    '--status',
    'show the state of this host and its standbys',
  ],
  nagios: ['Look', '--nagios', 'with --status: one line for Nagios or Icinga; exits 0 to 3'],
  prometheus: ['Look', '--prometheus [FILE]', 'with --status: for Prometheus, to FILE or standard output'],
  watch: ['Look', '--watch [SECONDS]', 'with --status: show it again and again, every 5 seconds'],
  warning: ['Look', '--warning <SIZE,SECONDS>', 'with --status: warn if that much WAL waits for so long'],
  critical: ['Look', '--critical <SIZE,SECONDS>', 'with --status: the same for a critical finding'],
} as const;
