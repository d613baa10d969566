import { Command, CommanderError, Option } from 'commander';
import { defaultIni } from './config/default-ini.ts';
import { usageError } from './errors.ts';
import { type FlagTable, seeHelp, sharedFlags, shortHelp, type Usage } from './help.ts';
import { iniFileOf } from './ini-file.ts';
import { quoted } from './system/printable.ts';
import { programVersion } from './system/program-root.ts';

/** The flags that both programs declare in the same way. */
interface SharedOptions {
  readonly config?: string;
  readonly dryRun?: true;
  readonly force?: string | true;
  readonly json?: true;
  readonly setup?: true;
  readonly version?: true;
  readonly help?: string | true;
}

/** The values of a program's flags: text if a flag takes a value, several if it takes any number, or true where it is left out. */
export type OptionsOf<Flags extends FlagTable> = {
  readonly [Name in keyof Flags]?: Flags[Name][1] extends `${string}...>`
    ? readonly string[]
    : Flags[Name][1] extends `${string}<${string}`
      ? string
      : Flags[Name][1] extends `${string}...]`
        ? readonly string[] | true
        : Flags[Name][1] extends `${string}[${string}`
          ? string | true
          : true;
};

/** Either a text to show, or the given options and the INI file. */
export type Arguments<Flags extends FlagTable> =
  | { readonly kind: 'show'; readonly text: string }
  | {
      readonly kind: 'options';
      readonly iniFile: string;
      readonly options: OptionsOf<Flags> & SharedOptions;
    };

const generalGroup = 'Options:';

function sharedOptions(usage: Usage): Option[] {
  return sharedFlags(usage).map(([flags, text]) => new Option(flags, text).helpGroup(generalGroup));
}

function ownOptions({ flags }: Usage): Option[] {
  return Object.values(flags).map(([task, names, text]) =>
    new Option(names, text).helpGroup(`${task}:`).hideHelp(task === 'hidden'),
  );
}

function declare(usage: Usage): Command {
  const command = new Command(usage.program)
    .usage(usage.synopsis)
    .description(usage.description)
    .helpOption(false)
    .allowExcessArguments()
    .exitOverride()
    .configureHelp({ helpWidth: 80 })
    .configureOutput({ writeErr: () => undefined });
  for (const option of [...ownOptions(usage), ...sharedOptions(usage)]) command.addOption(option);
  return command;
}

/** commander would take the last value of several, and forget the others in silence. */
function refuseSecondValues(command: Command): void {
  for (const option of command.options.filter(({ variadic }) => !variadic)) {
    const given: unknown[] = [];
    command.on(`option:${option.name()}`, (value: unknown) => {
      given.push(value);
      if (given.length < 2 || value === given[0]) return;
      const values = given.map((one) => (typeof one === 'string' ? `"${quoted(one, 100)}"` : 'no value'));
      throw usageError(
        `${option.long ?? option.flags} is given twice, with ${values.join(' and ')}`,
        'Give it once: which of them counts is not guessed.',
      );
    });
  }
}

/** commander's own message without its prefix, in our form. */
function messageFrom(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .replace(/\n.*/s, '')
    .replace(/\.$/, '');
}

/** The option that a mistyped one resembles, as commander names it. */
function suggestionFrom(error: CommanderError): string {
  const found = /\((Did you mean .*\?)\)/.exec(error.message)?.[1];
  return found === undefined ? '' : `${found} `;
}

function helpText(usage: Usage, command: Command, topic: string | true): string {
  if (topic === true) return shortHelp(usage);
  if (topic === 'all') return `${command.helpInformation()}${usage.more}`;
  throw usageError(
    `unknown word after --help: "${topic}"`,
    `${usage.program} --help shows the options for each task, --help all every option.`,
  );
}

/** Reads the command line. Throws a usage error, before anything is read or done. */
export function readArguments<Flags extends FlagTable>(
  usage: Usage<Flags>,
  argv: readonly string[],
): Arguments<Flags> {
  const command = declare(usage);
  const hint = seeHelp(usage);
  refuseSecondValues(command);
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError)
      throw usageError(messageFrom(error), `${suggestionFrom(error)}${hint}`);
    throw error;
  }
  const options = command.opts<OptionsOf<Flags> & SharedOptions>();
  const [surplus] = command.args;
  if (surplus !== undefined)
    throw usageError(
      `too many arguments: "${surplus}" belongs to no option`,
      `A value with blanks needs quotes around it. ${hint}`,
    );
  if (options.help !== undefined) return { kind: 'show', text: helpText(usage, command, options.help) };
  if (options.version === true) return { kind: 'show', text: `${programVersion()}\n` };
  // --setup is what makes the file.
  const isSetup = options.setup === true;
  const iniFile = isSetup
    ? (options.config ?? defaultIni(usage.program))
    : iniFileOf(usage.program, options.config);
  return { kind: 'options', iniFile, options };
}

/** The only action that the options request; `otherwise` if they request none. */
export function onlyAction<Action>(
  asked: readonly { readonly word: string; readonly action: Action }[],
  otherwise: Action,
): Action {
  if (asked.length > 1)
    throw usageError(
      `one action at a time, not ${asked.map(({ word }) => word).join(' and ')}`,
      'Each needs a command of its own.',
    );
  return asked[0]?.action ?? otherwise;
}
