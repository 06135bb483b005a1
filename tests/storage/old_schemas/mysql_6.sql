CREATE TABLE `Artifact` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `type_id` int(11) NOT NULL,
  `uri` text DEFAULT NULL,
  `state` int(11) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL,
  `create_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  `last_update_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `UniqueArtifactTypeName` (`type_id`,`name`),
  KEY `idx_artifact_uri` (`uri`(255)),
  KEY `idx_artifact_create_time_since_epoch` (`create_time_since_epoch`),
  KEY `idx_artifact_last_update_time_since_epoch` (`last_update_time_since_epoch`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Artifact` VALUES (1,10,'s3://b/data/0/数据',2,'data 0',1795440192482,1795440192482);
INSERT INTO `Artifact` VALUES (2,11,'s3://b/model/0/数据',2,NULL,1795440192484,1795440192484);
INSERT INTO `Artifact` VALUES (3,10,'s3://b/data/1/数据',2,'data 1',1795440192510,1795440192510);
INSERT INTO `Artifact` VALUES (4,11,'s3://b/model/1/数据',2,NULL,1795440192512,1795440192512);
CREATE TABLE `ArtifactProperty` (
  `artifact_id` int(11) NOT NULL,
  `name` varchar(255) NOT NULL,
  `is_custom_property` tinyint(1) NOT NULL,
  `int_value` int(11) DEFAULT NULL,
  `double_value` double DEFAULT NULL,
  `string_value` text DEFAULT NULL,
  PRIMARY KEY (`artifact_id`,`name`,`is_custom_property`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `ArtifactProperty` VALUES (1,'it\'s',1,NULL,NULL,'a \"quoted\" 你好 %_ text');
INSERT INTO `ArtifactProperty` VALUES (1,'note',0,NULL,NULL,'');
INSERT INTO `ArtifactProperty` VALUES (1,'number',1,-5,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (1,'rows',0,2147483647,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (1,'share',0,NULL,-1.5,NULL);
INSERT INTO `ArtifactProperty` VALUES (1,'tags',0,NULL,NULL,'mlmd-struct::Ch8KAWESGjIYCgkRAAAAAAAA8D8KCyoJCgcKAWISAggA');
INSERT INTO `ArtifactProperty` VALUES (2,'it\'s',1,NULL,NULL,'a \"quoted\" 你好 %_ text');
INSERT INTO `ArtifactProperty` VALUES (2,'number',1,-5,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (2,'rows',0,2147483647,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (3,'it\'s',1,NULL,NULL,'a \"quoted\" 你好 %_ text');
INSERT INTO `ArtifactProperty` VALUES (3,'note',0,NULL,NULL,'');
INSERT INTO `ArtifactProperty` VALUES (3,'number',1,-5,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (3,'rows',0,2147483646,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (3,'share',0,NULL,-1.5,NULL);
INSERT INTO `ArtifactProperty` VALUES (3,'tags',0,NULL,NULL,'mlmd-struct::Ch8KAWESGjIYCgkRAAAAAAAA8D8KCyoJCgcKAWISAggA');
INSERT INTO `ArtifactProperty` VALUES (4,'it\'s',1,NULL,NULL,'a \"quoted\" 你好 %_ text');
INSERT INTO `ArtifactProperty` VALUES (4,'number',1,-5,NULL,NULL);
INSERT INTO `ArtifactProperty` VALUES (4,'rows',0,2147483646,NULL,NULL);
CREATE TABLE `Association` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `context_id` int(11) NOT NULL,
  `execution_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `context_id` (`context_id`,`execution_id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Association` VALUES (1,2,1);
INSERT INTO `Association` VALUES (2,3,2);
CREATE TABLE `Attribution` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `context_id` int(11) NOT NULL,
  `artifact_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `context_id` (`context_id`,`artifact_id`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Attribution` VALUES (2,2,1);
INSERT INTO `Attribution` VALUES (1,2,2);
INSERT INTO `Attribution` VALUES (3,3,3);
INSERT INTO `Attribution` VALUES (4,3,4);
CREATE TABLE `Context` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `type_id` int(11) NOT NULL,
  `name` varchar(255) NOT NULL,
  `create_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  `last_update_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `type_id` (`type_id`,`name`),
  KEY `idx_context_create_time_since_epoch` (`create_time_since_epoch`),
  KEY `idx_context_last_update_time_since_epoch` (`last_update_time_since_epoch`)
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Context` VALUES (1,13,'pipeline',1795440192477,1795440192477);
INSERT INTO `Context` VALUES (2,13,'monday',1795440192478,1795440192498);
INSERT INTO `Context` VALUES (3,13,'tuesday',1795440192479,1795440192530);
CREATE TABLE `ContextProperty` (
  `context_id` int(11) NOT NULL,
  `name` varchar(255) NOT NULL,
  `is_custom_property` tinyint(1) NOT NULL,
  `int_value` int(11) DEFAULT NULL,
  `double_value` double DEFAULT NULL,
  `string_value` text DEFAULT NULL,
  PRIMARY KEY (`context_id`,`name`,`is_custom_property`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `ContextProperty` VALUES (1,'day',0,NULL,NULL,'pipeline');
CREATE TABLE `Event` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `artifact_id` int(11) NOT NULL,
  `execution_id` int(11) NOT NULL,
  `type` int(11) NOT NULL,
  `milliseconds_since_epoch` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_event_execution_id` (`execution_id`),
  KEY `idx_event_artifact_id` (`artifact_id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Event` VALUES (1,1,1,3,1795440192492);
INSERT INTO `Event` VALUES (2,2,1,4,1795440192493);
INSERT INTO `Event` VALUES (3,3,2,3,1795440192515);
INSERT INTO `Event` VALUES (4,4,2,4,1795440192524);
INSERT INTO `Event` VALUES (5,1,1,3,1795440192493);
INSERT INTO `Event` VALUES (6,1,1,3,1795440192494);
CREATE TABLE `EventPath` (
  `event_id` int(11) NOT NULL,
  `is_index_step` tinyint(1) NOT NULL,
  `step_index` int(11) DEFAULT NULL,
  `step_key` text DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `EventPath` VALUES (1,0,NULL,'data');
INSERT INTO `EventPath` VALUES (1,1,0,NULL);
INSERT INTO `EventPath` VALUES (1,0,NULL,'part');
INSERT INTO `EventPath` VALUES (1,1,0,NULL);
INSERT INTO `EventPath` VALUES (2,0,NULL,'model');
INSERT INTO `EventPath` VALUES (2,1,0,NULL);
INSERT INTO `EventPath` VALUES (2,0,NULL,'part');
INSERT INTO `EventPath` VALUES (2,1,0,NULL);
INSERT INTO `EventPath` VALUES (3,0,NULL,'data');
INSERT INTO `EventPath` VALUES (3,1,1,NULL);
INSERT INTO `EventPath` VALUES (3,0,NULL,'part');
INSERT INTO `EventPath` VALUES (3,1,1,NULL);
INSERT INTO `EventPath` VALUES (4,0,NULL,'model');
INSERT INTO `EventPath` VALUES (4,1,1,NULL);
INSERT INTO `EventPath` VALUES (4,0,NULL,'part');
INSERT INTO `EventPath` VALUES (4,1,1,NULL);
INSERT INTO `EventPath` VALUES (5,1,1,NULL);
INSERT INTO `EventPath` VALUES (6,1,2,NULL);
CREATE TABLE `Execution` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `type_id` int(11) NOT NULL,
  `last_known_state` int(11) DEFAULT NULL,
  `name` varchar(255) DEFAULT NULL,
  `create_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  `last_update_time_since_epoch` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `UniqueExecutionTypeName` (`type_id`,`name`),
  KEY `idx_execution_create_time_since_epoch` (`create_time_since_epoch`),
  KEY `idx_execution_last_update_time_since_epoch` (`last_update_time_since_epoch`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Execution` VALUES (1,12,3,'train 0',1795440192490,1795440192490);
INSERT INTO `Execution` VALUES (2,12,3,'train 1',1795440192512,1795440192512);
CREATE TABLE `ExecutionProperty` (
  `execution_id` int(11) NOT NULL,
  `name` varchar(255) NOT NULL,
  `is_custom_property` tinyint(1) NOT NULL,
  `int_value` int(11) DEFAULT NULL,
  `double_value` double DEFAULT NULL,
  `string_value` text DEFAULT NULL,
  PRIMARY KEY (`execution_id`,`name`,`is_custom_property`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `ExecutionProperty` VALUES (1,'host',1,NULL,NULL,'gpu-7');
INSERT INTO `ExecutionProperty` VALUES (1,'rate',0,NULL,0.25,NULL);
INSERT INTO `ExecutionProperty` VALUES (2,'host',1,NULL,NULL,'gpu-7');
INSERT INTO `ExecutionProperty` VALUES (2,'rate',0,NULL,0.25,NULL);
CREATE TABLE `MLMDEnv` (
  `schema_version` int(11) NOT NULL,
  PRIMARY KEY (`schema_version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `MLMDEnv` VALUES (6);
CREATE TABLE `ParentContext` (
  `context_id` int(11) NOT NULL,
  `parent_context_id` int(11) NOT NULL,
  PRIMARY KEY (`context_id`,`parent_context_id`),
  KEY `idx_parentcontext_parent_context_id` (`parent_context_id`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `ParentContext` VALUES (2,1);
INSERT INTO `ParentContext` VALUES (3,1);
CREATE TABLE `ParentType` (
  `type_id` int(11) NOT NULL,
  `parent_type_id` int(11) NOT NULL,
  PRIMARY KEY (`type_id`,`parent_type_id`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `ParentType` VALUES (10,1);
CREATE TABLE `Type` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `name` varchar(255) NOT NULL,
  `version` varchar(255) DEFAULT NULL,
  `type_kind` tinyint(1) NOT NULL,
  `description` text DEFAULT NULL,
  `input_type` text DEFAULT NULL,
  `output_type` text DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_type_name` (`name`)
) ENGINE=InnoDB AUTO_INCREMENT=14 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `Type` VALUES (1,'mlmd.Dataset',NULL,1,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (2,'mlmd.Model',NULL,1,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (3,'mlmd.Metrics',NULL,1,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (4,'mlmd.Statistics',NULL,1,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (5,'mlmd.Train',NULL,0,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (6,'mlmd.Transform',NULL,0,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (7,'mlmd.Process',NULL,0,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (8,'mlmd.Evaluate',NULL,0,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (9,'mlmd.Deploy',NULL,0,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (10,'Dataset',NULL,1,'Rows of something',NULL,NULL);
INSERT INTO `Type` VALUES (11,'Dataset','2',1,NULL,NULL,NULL);
INSERT INTO `Type` VALUES (12,'Trainer',NULL,0,NULL,'{\"simple\":{\"name\":\"Data\"}}','{\"simple\":{\"name\":\"Model\"}}');
INSERT INTO `Type` VALUES (13,'Run',NULL,2,NULL,NULL,NULL);
CREATE TABLE `TypeProperty` (
  `type_id` int(11) NOT NULL,
  `name` varchar(255) NOT NULL,
  `data_type` int(11) DEFAULT NULL,
  PRIMARY KEY (`type_id`,`name`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO `TypeProperty` VALUES (10,'note',3);
INSERT INTO `TypeProperty` VALUES (10,'rows',1);
INSERT INTO `TypeProperty` VALUES (10,'share',2);
INSERT INTO `TypeProperty` VALUES (10,'tags',4);
INSERT INTO `TypeProperty` VALUES (11,'rows',1);
INSERT INTO `TypeProperty` VALUES (12,'rate',2);
INSERT INTO `TypeProperty` VALUES (13,'day',3);
