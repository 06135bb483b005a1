CREATE TABLE artifact (
    id integer NOT NULL,
    type_id integer NOT NULL,
    uri text,
    state integer,
    name character varying(255),
    create_time_since_epoch bigint DEFAULT 0 NOT NULL,
    last_update_time_since_epoch bigint DEFAULT 0 NOT NULL
);
CREATE SEQUENCE artifact_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE artifact_id_seq OWNED BY artifact.id;
CREATE TABLE artifactproperty (
    artifact_id integer NOT NULL,
    name character varying(255) NOT NULL,
    is_custom_property boolean NOT NULL,
    int_value integer,
    double_value double precision,
    string_value text
);
CREATE TABLE association (
    id integer NOT NULL,
    context_id integer NOT NULL,
    execution_id integer NOT NULL
);
CREATE SEQUENCE association_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE association_id_seq OWNED BY association.id;
CREATE TABLE attribution (
    id integer NOT NULL,
    context_id integer NOT NULL,
    artifact_id integer NOT NULL
);
CREATE SEQUENCE attribution_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE attribution_id_seq OWNED BY attribution.id;
CREATE TABLE context (
    id integer NOT NULL,
    type_id integer NOT NULL,
    name character varying(255) NOT NULL,
    create_time_since_epoch bigint DEFAULT 0 NOT NULL,
    last_update_time_since_epoch bigint DEFAULT 0 NOT NULL
);
CREATE SEQUENCE context_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE context_id_seq OWNED BY context.id;
CREATE TABLE contextproperty (
    context_id integer NOT NULL,
    name character varying(255) NOT NULL,
    is_custom_property boolean NOT NULL,
    int_value integer,
    double_value double precision,
    string_value text
);
CREATE TABLE event (
    id integer NOT NULL,
    artifact_id integer NOT NULL,
    execution_id integer NOT NULL,
    type integer NOT NULL,
    milliseconds_since_epoch bigint
);
CREATE SEQUENCE event_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE event_id_seq OWNED BY event.id;
CREATE TABLE eventpath (
    event_id integer NOT NULL,
    is_index_step boolean NOT NULL,
    step_index integer,
    step_key text
);
CREATE TABLE execution (
    id integer NOT NULL,
    type_id integer NOT NULL,
    last_known_state integer,
    name character varying(255),
    create_time_since_epoch bigint DEFAULT 0 NOT NULL,
    last_update_time_since_epoch bigint DEFAULT 0 NOT NULL
);
CREATE SEQUENCE execution_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE execution_id_seq OWNED BY execution.id;
CREATE TABLE executionproperty (
    execution_id integer NOT NULL,
    name character varying(255) NOT NULL,
    is_custom_property boolean NOT NULL,
    int_value integer,
    double_value double precision,
    string_value text
);
CREATE TABLE mlmdenv (
    schema_version integer NOT NULL
);
CREATE TABLE parentcontext (
    context_id integer NOT NULL,
    parent_context_id integer NOT NULL
);
CREATE TABLE parenttype (
    type_id integer NOT NULL,
    parent_type_id integer NOT NULL
);
CREATE TABLE type (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    version character varying(255),
    type_kind smallint NOT NULL,
    description text,
    input_type text,
    output_type text
);
CREATE SEQUENCE type_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE type_id_seq OWNED BY type.id;
CREATE TABLE typeproperty (
    type_id integer NOT NULL,
    name character varying(255) NOT NULL,
    data_type integer
);
ALTER TABLE ONLY artifact ALTER COLUMN id SET DEFAULT nextval('artifact_id_seq'::regclass);
ALTER TABLE ONLY association ALTER COLUMN id SET DEFAULT nextval('association_id_seq'::regclass);
ALTER TABLE ONLY attribution ALTER COLUMN id SET DEFAULT nextval('attribution_id_seq'::regclass);
ALTER TABLE ONLY context ALTER COLUMN id SET DEFAULT nextval('context_id_seq'::regclass);
ALTER TABLE ONLY event ALTER COLUMN id SET DEFAULT nextval('event_id_seq'::regclass);
ALTER TABLE ONLY execution ALTER COLUMN id SET DEFAULT nextval('execution_id_seq'::regclass);
ALTER TABLE ONLY type ALTER COLUMN id SET DEFAULT nextval('type_id_seq'::regclass);
INSERT INTO artifact VALUES (1, 10, 's3://b/data/0/数据', 2, 'data 0', 1795440191158, 1795440191158);
INSERT INTO artifact VALUES (2, 11, 's3://b/model/0/数据', 2, NULL, 1795440191160, 1795440191160);
INSERT INTO artifact VALUES (3, 10, 's3://b/data/1/数据', 2, 'data 1', 1795440191179, 1795440191179);
INSERT INTO artifact VALUES (4, 11, 's3://b/model/1/数据', 2, NULL, 1795440191180, 1795440191180);
INSERT INTO artifactproperty VALUES (1, 'tags', false, NULL, NULL, 'mlmd-struct::Ch8KAWESGjIYCgkRAAAAAAAA8D8KCyoJCgcKAWISAggA');
INSERT INTO artifactproperty VALUES (1, 'note', false, NULL, NULL, '');
INSERT INTO artifactproperty VALUES (1, 'share', false, NULL, -1.5, NULL);
INSERT INTO artifactproperty VALUES (1, 'rows', false, 2147483647, NULL, NULL);
INSERT INTO artifactproperty VALUES (1, 'it''s', true, NULL, NULL, 'a "quoted" 你好 %_ text');
INSERT INTO artifactproperty VALUES (1, 'number', true, -5, NULL, NULL);
INSERT INTO artifactproperty VALUES (2, 'rows', false, 2147483647, NULL, NULL);
INSERT INTO artifactproperty VALUES (2, 'it''s', true, NULL, NULL, 'a "quoted" 你好 %_ text');
INSERT INTO artifactproperty VALUES (2, 'number', true, -5, NULL, NULL);
INSERT INTO artifactproperty VALUES (3, 'tags', false, NULL, NULL, 'mlmd-struct::Ch8KAWESGjIYCgkRAAAAAAAA8D8KCyoJCgcKAWISAggA');
INSERT INTO artifactproperty VALUES (3, 'rows', false, 2147483646, NULL, NULL);
INSERT INTO artifactproperty VALUES (3, 'share', false, NULL, -1.5, NULL);
INSERT INTO artifactproperty VALUES (3, 'note', false, NULL, NULL, '');
INSERT INTO artifactproperty VALUES (3, 'number', true, -5, NULL, NULL);
INSERT INTO artifactproperty VALUES (3, 'it''s', true, NULL, NULL, 'a "quoted" 你好 %_ text');
INSERT INTO artifactproperty VALUES (4, 'rows', false, 2147483646, NULL, NULL);
INSERT INTO artifactproperty VALUES (4, 'number', true, -5, NULL, NULL);
INSERT INTO artifactproperty VALUES (4, 'it''s', true, NULL, NULL, 'a "quoted" 你好 %_ text');
INSERT INTO association VALUES (1, 2, 1);
INSERT INTO association VALUES (2, 3, 2);
INSERT INTO attribution VALUES (1, 2, 2);
INSERT INTO attribution VALUES (2, 2, 1);
INSERT INTO attribution VALUES (3, 3, 4);
INSERT INTO attribution VALUES (4, 3, 3);
INSERT INTO context VALUES (1, 13, 'pipeline', 1795440191148, 1795440191148);
INSERT INTO context VALUES (2, 13, 'monday', 1795440191153, 1795440191168);
INSERT INTO context VALUES (3, 13, 'tuesday', 1795440191154, 1795440191188);
INSERT INTO contextproperty VALUES (1, 'day', false, NULL, NULL, 'pipeline');
INSERT INTO event VALUES (1, 1, 1, 3, 1795440191165);
INSERT INTO event VALUES (2, 2, 1, 4, 1795440191167);
INSERT INTO event VALUES (3, 3, 2, 3, 1795440191183);
INSERT INTO event VALUES (4, 4, 2, 4, 1795440191184);
INSERT INTO event VALUES (5, 1, 1, 3, 1795440191166);
INSERT INTO event VALUES (6, 1, 1, 3, 1795440191167);
INSERT INTO eventpath VALUES (1, false, NULL, 'data');
INSERT INTO eventpath VALUES (1, true, 0, NULL);
INSERT INTO eventpath VALUES (1, false, NULL, 'part');
INSERT INTO eventpath VALUES (1, true, 0, NULL);
INSERT INTO eventpath VALUES (2, false, NULL, 'model');
INSERT INTO eventpath VALUES (2, true, 0, NULL);
INSERT INTO eventpath VALUES (2, false, NULL, 'part');
INSERT INTO eventpath VALUES (2, true, 0, NULL);
INSERT INTO eventpath VALUES (3, false, NULL, 'data');
INSERT INTO eventpath VALUES (3, true, 1, NULL);
INSERT INTO eventpath VALUES (3, false, NULL, 'part');
INSERT INTO eventpath VALUES (3, true, 1, NULL);
INSERT INTO eventpath VALUES (4, false, NULL, 'model');
INSERT INTO eventpath VALUES (4, true, 1, NULL);
INSERT INTO eventpath VALUES (4, false, NULL, 'part');
INSERT INTO eventpath VALUES (4, true, 1, NULL);
INSERT INTO eventpath VALUES (5, true, 1, NULL);
INSERT INTO eventpath VALUES (6, true, 2, NULL);
INSERT INTO execution VALUES (1, 12, 3, 'train 0', 1795440191162, 1795440191162);
INSERT INTO execution VALUES (2, 12, 3, 'train 1', 1795440191182, 1795440191182);
INSERT INTO executionproperty VALUES (1, 'rate', false, NULL, 0.25, NULL);
INSERT INTO executionproperty VALUES (1, 'host', true, NULL, NULL, 'gpu-7');
INSERT INTO executionproperty VALUES (2, 'rate', false, NULL, 0.25, NULL);
INSERT INTO executionproperty VALUES (2, 'host', true, NULL, NULL, 'gpu-7');
INSERT INTO mlmdenv VALUES (6);
INSERT INTO parentcontext VALUES (2, 1);
INSERT INTO parentcontext VALUES (3, 1);
INSERT INTO parenttype VALUES (10, 1);
INSERT INTO type VALUES (1, 'mlmd.Dataset', NULL, 1, NULL, NULL, NULL);
INSERT INTO type VALUES (2, 'mlmd.Model', NULL, 1, NULL, NULL, NULL);
INSERT INTO type VALUES (3, 'mlmd.Metrics', NULL, 1, NULL, NULL, NULL);
INSERT INTO type VALUES (4, 'mlmd.Statistics', NULL, 1, NULL, NULL, NULL);
INSERT INTO type VALUES (5, 'mlmd.Train', NULL, 0, NULL, NULL, NULL);
INSERT INTO type VALUES (6, 'mlmd.Transform', NULL, 0, NULL, NULL, NULL);
INSERT INTO type VALUES (7, 'mlmd.Process', NULL, 0, NULL, NULL, NULL);
INSERT INTO type VALUES (8, 'mlmd.Evaluate', NULL, 0, NULL, NULL, NULL);
INSERT INTO type VALUES (9, 'mlmd.Deploy', NULL, 0, NULL, NULL, NULL);
INSERT INTO type VALUES (10, 'Dataset', NULL, 1, 'Rows of something', NULL, NULL);
INSERT INTO type VALUES (11, 'Dataset', '2', 1, NULL, NULL, NULL);
INSERT INTO type VALUES (12, 'Trainer', NULL, 0, NULL, '{"simple":{"name":"Data"}}', '{"simple":{"name":"Model"}}');
INSERT INTO type VALUES (13, 'Run', NULL, 2, NULL, NULL, NULL);
INSERT INTO typeproperty VALUES (10, 'share', 2);
INSERT INTO typeproperty VALUES (10, 'rows', 1);
INSERT INTO typeproperty VALUES (10, 'tags', 4);
INSERT INTO typeproperty VALUES (10, 'note', 3);
INSERT INTO typeproperty VALUES (11, 'rows', 1);
INSERT INTO typeproperty VALUES (12, 'rate', 2);
INSERT INTO typeproperty VALUES (13, 'day', 3);
SELECT pg_catalog.setval('artifact_id_seq', 5, true);
SELECT pg_catalog.setval('association_id_seq', 2, true);
SELECT pg_catalog.setval('attribution_id_seq', 4, true);
SELECT pg_catalog.setval('context_id_seq', 3, true);
SELECT pg_catalog.setval('event_id_seq', 6, true);
SELECT pg_catalog.setval('execution_id_seq', 2, true);
SELECT pg_catalog.setval('type_id_seq', 13, true);
ALTER TABLE ONLY artifact
    ADD CONSTRAINT artifact_pkey PRIMARY KEY (id);
ALTER TABLE ONLY artifactproperty
    ADD CONSTRAINT artifactpropertytemp_pkey PRIMARY KEY (artifact_id, name, is_custom_property);
ALTER TABLE ONLY association
    ADD CONSTRAINT association_context_id_execution_id_key UNIQUE (context_id, execution_id);
ALTER TABLE ONLY association
    ADD CONSTRAINT association_pkey PRIMARY KEY (id);
ALTER TABLE ONLY attribution
    ADD CONSTRAINT attribution_context_id_artifact_id_key UNIQUE (context_id, artifact_id);
ALTER TABLE ONLY attribution
    ADD CONSTRAINT attribution_pkey PRIMARY KEY (id);
ALTER TABLE ONLY context
    ADD CONSTRAINT context_pkey PRIMARY KEY (id);
ALTER TABLE ONLY context
    ADD CONSTRAINT context_type_id_name_key UNIQUE (type_id, name);
ALTER TABLE ONLY contextproperty
    ADD CONSTRAINT contextpropertytemp_pkey PRIMARY KEY (context_id, name, is_custom_property);
ALTER TABLE ONLY event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY execution
    ADD CONSTRAINT execution_pkey PRIMARY KEY (id);
ALTER TABLE ONLY executionproperty
    ADD CONSTRAINT executionpropertytemp_pkey PRIMARY KEY (execution_id, name, is_custom_property);
ALTER TABLE ONLY mlmdenv
    ADD CONSTRAINT mlmdenv_pkey PRIMARY KEY (schema_version);
ALTER TABLE ONLY parentcontext
    ADD CONSTRAINT parentcontext_pkey PRIMARY KEY (context_id, parent_context_id);
ALTER TABLE ONLY parenttype
    ADD CONSTRAINT parenttype_pkey PRIMARY KEY (type_id, parent_type_id);
ALTER TABLE ONLY type
    ADD CONSTRAINT type_pkey PRIMARY KEY (id);
ALTER TABLE ONLY typeproperty
    ADD CONSTRAINT typeproperty_pkey PRIMARY KEY (type_id, name);
ALTER TABLE ONLY artifact
    ADD CONSTRAINT uniqueartifacttypename UNIQUE (type_id, name);
ALTER TABLE ONLY execution
    ADD CONSTRAINT uniqueexecutiontypename UNIQUE (type_id, name);
CREATE INDEX idx_artifact_create_time_since_epoch ON artifact USING btree (create_time_since_epoch);
CREATE INDEX idx_artifact_last_update_time_since_epoch ON artifact USING btree (last_update_time_since_epoch);
CREATE INDEX idx_artifact_uri ON artifact USING btree (uri);
CREATE INDEX idx_context_create_time_since_epoch ON context USING btree (create_time_since_epoch);
CREATE INDEX idx_context_last_update_time_since_epoch ON context USING btree (last_update_time_since_epoch);
CREATE INDEX idx_event_artifact_id ON event USING btree (artifact_id);
CREATE INDEX idx_event_execution_id ON event USING btree (execution_id);
CREATE INDEX idx_execution_create_time_since_epoch ON execution USING btree (create_time_since_epoch);
CREATE INDEX idx_execution_last_update_time_since_epoch ON execution USING btree (last_update_time_since_epoch);
CREATE INDEX idx_parentcontext_parent_context_id ON parentcontext USING btree (parent_context_id);
CREATE INDEX idx_type_name ON type USING btree (name);
