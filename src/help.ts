import { defaultIni } from './config/default-ini.ts';

/** The tasks for which an operator uses a program. */
const tasks = ['Set up', 'Run', 'Look', 'Change roles', 'Recover'] as const;

/** A flag of one program. Flags that only our own launcher uses are hidden: no help shows them. */
type Flag = readonly [
  task: (typeof tasks)[number] | 'hidden',
  /** Its names and its value, as commander reads them: `-A, --action <WHAT>`. */
  flags: string,
  text: string,
  /** Its form in the short help; flags without one are only in `--help all`. */
  typed?: string,
  /** The text in the short help if `text` is too long for a line. */
  effect?: string,
];

/** A program's flags, by the names that commander gives to their values. */
export type FlagTable = Readonly<Record<string, Flag>>;

/** The command line of one program and everything that its help shows. */
export interface Usage<Flags extends FlagTable = FlagTable> {
  readonly program: string;
  readonly synopsis: string;
  readonly description: string;
  readonly flags: Flags;
  /** The shared flags that it has in addition to `-C`, each with the actions that it goes with. */
  readonly shared: Readonly<Partial<Record<'dryRun' | 'force' | 'json', string>>>;
  /** The lines below the tasks in the short help. */
  readonly foot: readonly string[];
  /** The text of `--help all` below the flags. */
  readonly more: string;
}

/** The flags that both programs declare in the same way, as commander reads them, with their texts. */
export function sharedFlags({
  program,
  shared: { dryRun, force, json },
}: Usage): readonly (readonly [flags: string, text: string])[] {
  const some = [
    ['--dry-run', 'show the steps and change nothing', dryRun],
    ['--force [NAMES]', 'continue although the action would refuse', force],
    ['--json', 'print one JSON object on standard output', json],
  ] as const;
  return [
    ['-C, --config <FILE>', `the INI file; if it is left out, ${defaultIni(program)}`],
    ...some.flatMap(([flags, text, goesWith]) =>
      goesWith === undefined ? [] : [[flags, `${text}; ${goesWith}`] as const],
    ),
    ['--version', 'show the version of this program'],
    ['-h, --help [all]', 'show the options for each task; with "all", every option'],
  ];
}

/** The action of both programs if none is given, and the one that asks the other hosts, too. */
const check: Flag = [
  'Look',
  '',
  'check FILE; --check: whether all hosts work together',
  '(no action), --check',
];

/** The options for each task, on one screen of a terminal: 24 lines of 80 columns. */
export function shortHelp({ program, synopsis, description, flags, foot }: Usage): string {
  const shown = [check, ...Object.values(flags)].filter(([, , , typed]) => typed !== undefined);
  const width = Math.max(...shown.map(([, , , typed = '']) => typed.length)) + 2;
  const linesOf = (name: string) =>
    shown
      .filter(([task]) => task === name)
      .map(([, , text, typed = '', effect = text]) => `  ${typed.padEnd(width)}${effect}`);
  const groups = tasks.flatMap((name) => [`${name}:`, ...linesOf(name)]);
  const last = `${program} --help all shows every option.`;
  return [`Usage: ${program} ${synopsis}`, description, ...groups, ...foot, last, ''].join('\n');
}

/** The hint for an error in the command line that has no better one. */
export function seeHelp({ program }: Pick<Usage, 'program'>): string {
  return `${program} --help shows the actions.`;
}
