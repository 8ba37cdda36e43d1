/** The tab in which a swarm is described, as a form and as YAML, checked while one types, and started. */
import { Clipboard, MainAreaWidget } from '@jupyterlab/apputils';
import type { IEditorServices } from '@jupyterlab/codeeditor';
import { FormComponent, ReactWidget } from '@jupyterlab/ui-components';
import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import type { RJSFSchema, UiSchema, ValidatorType } from '@rjsf/utils';
import React, { useEffect, useMemo, useRef, useState } from 'react';
import { startFromYaml } from '../actions/swarms';
import type { Work } from '../actions/work';
import type { SpecCheck, SpecProblem } from '../api';
import { swarmIcon } from '../labIcons';
import { Button, Icon, IconButton } from '../panel/parts';
import { YamlEditor } from './editor';
import { errorsOf, formSchema, inFileOnly, uiSchema } from './schema';
import { templates } from './templates';
import { firstText, sameAs, type Values, valuesOf, withValues } from './yamlText';

const TYPING_MS = 300;

export interface IFormContext {
  work: Work;
  trans: TranslationBundle;
  translator: ITranslator;
  editors: IEditorServices;
}

export function newSwarmTab(context: IFormContext): MainAreaWidget<ReactWidget> {
  const { trans } = context;
  const holder: { tab?: MainAreaWidget<ReactWidget> } = {};
  const content = ReactWidget.create(<NewSwarm {...context} onClose={() => holder.tab?.dispose()} />);
  content.addClass('swl-NewSwarm-host');
  const tab = new MainAreaWidget({ content });
  holder.tab = tab;
  tab.id = 'swarm-lab-new-swarm';
  tab.title.label = trans.__('New swarm');
  tab.title.icon = swarmIcon;
  tab.title.closable = true;
  return tab;
}

interface ISchemas {
  schema: RJSFSchema;
  ui: UiSchema;
  /** The form insists on one, to choose between shapes of a field; it validates nothing. */
  validator: ValidatorType;
  /** What can be set in the file alone. */
  fileOnly: string[];
}

function NewSwarm(props: IFormContext & { onClose(): void }): JSX.Element {
  const { work, trans, onClose } = props;
  const { model } = work;
  const first = useMemo(() => firstText(model.swarms.map(swarm => swarm.swarm)), [model]);
  const [text, setText] = useState(first);
  const [problems, setProblems] = useState<readonly SpecProblem[]>([]);
  const [phase, setPhase] = useState<'checking' | 'ready' | 'invalid' | 'starting'>('checking');
  const [schemas, setSchemas] = useState<ISchemas | null>(null);
  const values = useMemo(() => valuesOf(text), [text]);
  // While the text is not YAML, the form keeps what it last was.
  const last = useRef<Values>(values ?? {});
  last.current = values ?? last.current;

  useEffect(() => {
    void schemasOf(work, trans).then(setSchemas);
  }, [work, trans]);
  useEffect(() => {
    setPhase('checking');
    let stale = false;
    const timer = setTimeout(() => {
      const asked = model.request<SpecCheck>('POST', 'specs/check', { yaml: text });
      asked.then(
        check => {
          if (!stale) {
            setProblems(check.problems);
            setPhase(check.ok ? 'ready' : 'invalid');
          }
        },
        // Not reachable: the start itself says why.
        () => !stale && setPhase('ready')
      );
    }, TYPING_MS);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [model, text]);

  const start = async (): Promise<void> => {
    if (phase === 'invalid' || phase === 'starting') {
      return;
    }
    setPhase('starting');
    const name = String(last.current.name ?? 'swarm');
    const operation = await startFromYaml(work, name, text);
    if (operation !== null) {
      model.selected = operation.swarm ?? name;
      onClose();
    } else {
      setPhase('ready');
    }
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      void start();
    }
  };
  return (
    <div className="swl-NewSwarm" onKeyDownCapture={onKeyDown}>
      <div className="swl-MainBar">
        <span className="swl-b">{trans.__('New swarm')}</span>
        <span className="swl-2 swl-cut swl-grow">
          {trans.__('every field has a default; the form and the file are the same thing')}
        </span>
      </div>
      <div className="swl-NewSwarm-body">
        <div className="swl-Form">
          {schemas !== null && (
            <Fields
              {...schemas}
              values={last.current}
              problems={problems}
              translator={props.translator}
              onChange={next => setText(current => withValues(current, next))}
            />
          )}
          {schemas !== null && schemas.fileOnly.length > 0 && (
            <p className="swl-Form-note">
              {trans.__('In the file there may also be %1.', schemas.fileOnly.join(', '))}
            </p>
          )}
        </div>
        <Yaml {...props} text={text} problems={problems} onText={setText} values={values} />
      </div>
      <Foot
        phase={phase}
        problems={problems}
        values={last.current}
        trans={trans}
        onStart={() => void start()}
        onCancel={onClose}
      />
    </div>
  );
}

async function schemasOf(work: Work, trans: TranslationBundle): Promise<ISchemas | null> {
  const [spec, up, { default: validator }] = await Promise.all([
    work.get<Record<string, unknown>>('schemas/spec'),
    work.get<Record<string, unknown>>('schemas/up'),
    import('@rjsf/validator-ajv8')
  ]);
  return spec && { schema: formSchema(spec, up ?? {}, trans), ui: uiSchema(spec, trans), validator, fileOnly: inFileOnly(spec) };
}

interface IFieldsProps extends ISchemas {
  values: Values;
  problems: readonly SpecProblem[];
  translator: ITranslator;
  onChange(values: Values): void;
}

function Fields({ schema, ui, validator, values, problems, translator, onChange }: IFieldsProps): JSX.Element {
  const errors = useMemo(() => errorsOf(problems), [problems]);
  return (
    <FormComponent
      schema={schema}
      uiSchema={ui as never}
      formData={values as never}
      extraErrors={errors as never}
      extraErrorsBlockSubmit={false}
      validator={validator as never}
      noValidate
      noHtml5Validate
      showErrorList={false}
      idPrefix="swl-new-swarm"
      templates={templates as never}
      translator={translator}
      onChange={event => onChange(event.formData as Values)}
    />
  );
}

interface IYamlProps extends IFormContext {
  text: string;
  values: Values | null;
  problems: readonly SpecProblem[];
  onText(text: string): void;
}

function Yaml({ text, values, problems, trans, editors, onText }: IYamlProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<YamlEditor | null>(null);
  useEffect(() => {
    const made = new YamlEditor(editors, host.current!, text, trans.__('YAML of the swarm'));
    made.onChange(onText);
    editor.current = made;
    return () => made.dispose();
    // The text that comes later is set below; a new editor for each would lose the cursor.
  }, []);
  useEffect(() => {
    if (editor.current !== null) {
      editor.current.text = text;
    }
  }, [text]);
  useEffect(() => editor.current?.mark(problems), [problems]);
  const same = values === null ? null : sameAs(values);
  return (
    <div className="swl-Yaml">
      <div className="swl-MainBar">
        <span className="swl-b">{`${String(values?.name ?? 'swarm')}.yaml`}</span>
        <span className="swl-2 swl-grow">{trans.__('checked as you type')}</span>
        <IconButton icon="copy" label={trans.__('Copy YAML')} onClick={() => Clipboard.copyToSystem(text)} />
      </div>
      <div ref={host} className="swl-Yaml-editor" />
      {same !== null && (
        <div className="swl-Yaml-same">
          <span className="swl-2">{trans.__('Same as')}</span>
          <code className="swl-Code swl-cut">{same}</code>
          <span className="swl-grow" />
          <IconButton icon="copy" label={trans.__('Copy as cell')} onClick={() => Clipboard.copyToSystem(same)} />
        </div>
      )}
    </div>
  );
}

interface IFootProps {
  phase: 'checking' | 'ready' | 'invalid' | 'starting';
  problems: readonly SpecProblem[];
  values: Values;
  trans: TranslationBundle;
  onStart(): void;
  onCancel(): void;
}

function Foot({ phase, problems, values, trans, onStart, onCancel }: IFootProps): JSX.Element {
  const count = (Number(values.sl) || 4) + (Number(values.sn) || 2) + 3;
  const invalid = phase === 'invalid' && problems.length > 0;
  const fields = [...new Set(problems.map(({ path, line }) => path || trans.__('line %1', line)))].join(', ');
  return (
    <div className="swl-NewSwarm-foot">
      <Button className="is-main is-big" disabled={phase === 'invalid' || phase === 'starting'} onClick={onStart}>
        {phase === 'starting' ? trans.__('Starting') : trans.__('Start swarm')}
      </Button>
      <Button className="is-big" onClick={onCancel}>
        {trans.__('Cancel')}
      </Button>
      <span role="status" className="swl-cut">
        {invalid && (
          <>
            <Icon name="failed" tone="bad" />{' '}
            {trans._n('Correct %1 field first: %2', 'Correct %1 fields first: %2', problems.length, fields)}
          </>
        )}
      </span>
      <span className="swl-grow" />
      <span className="swl-2">{trans._n('starts %1 node on this machine', 'starts %1 nodes on this machine', count)}</span>
    </div>
  );
}
