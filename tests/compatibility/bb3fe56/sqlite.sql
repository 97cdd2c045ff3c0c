BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'source');
INSERT INTO "studies" VALUES(2,'own');
INSERT INTO "studies" VALUES(3,'digits');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
INSERT INTO "study_directions" VALUES(3,'MINIMIZE',3,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["score"]');
INSERT INTO "study_system_attributes" VALUES(2,2,'study:metric_names','["score"]');
INSERT INTO "study_system_attributes" VALUES(3,3,'study:metric_names','["eval_cer"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'hps:id','"164b6fa9d27e43edacafc0056f855e2f"');
INSERT INTO "study_user_attributes" VALUES(2,1,'hps:definition','{"objective": {"metric": "score", "direction": "minimize"}, "search_mode": "bayesian", "sampler": "auto", "n_trials": 4, "pruner": {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 1}, "seed": 3, "command": ["@PYTHON@", "program.py", "--x", "{x}", "--layers", "{layers}", "--head", "{head}", "--width", "{width}", "--seed", "{seed}", "--out", "{output_dir}"], "memory_grows_with": ["layers"], "preload": [], "env_pass": [], "max_retries": 1, "trial_timeout_s": 300.0, "keep_adapters": 2, "description": "A program of one''s own, with every kind of range and ending", "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 10.0, "default": 5.0}, "layers": {"type": "int", "low": 1, "high": 4, "step": 1, "log": false, "default": 1}, "head": {"type": "categorical", "choices": ["plain", "wide"], "default": "plain"}, "width": {"type": "loguniform", "low": 0.01, "high": 1.0, "default": 0.1, "when": {"head": "wide"}, "otherwise": 0.1}}, "settings": {}}');
INSERT INTO "study_user_attributes" VALUES(3,1,'hps:epoch','1');
INSERT INTO "study_user_attributes" VALUES(4,1,'hps:working_dir','"@FOLDER@"');
INSERT INTO "study_user_attributes" VALUES(5,2,'hps:id','"cf676d25538245a183874f5d6791f3ed"');
INSERT INTO "study_user_attributes" VALUES(6,2,'hps:definition','{"objective": {"metric": "score", "direction": "minimize"}, "search_mode": "bayesian", "sampler": "auto", "try_first": [{"x": 4.0, "head": "wide", "width": 0.5}, {"x": 8.5}, {"x": 9.1}, {"x": 9.3}, {"x": 9.6}, {"x": 9.9}, {"x": 4.5, "layers": 4}, {"x": 5.5, "layers": 4}], "n_trials": 40, "pruner": {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 1}, "seed": 7, "command": ["@PYTHON@", "program.py", "--x", "{x}", "--layers", "{layers}", "--head", "{head}", "--width", "{width}", "--seed", "{seed}", "--out", "{output_dir}"], "memory_grows_with": ["layers"], "preload": [], "env_pass": [], "max_retries": 1, "trial_timeout_s": 300.0, "keep_adapters": 2, "description": "A program of one''s own, with every kind of range and ending", "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 10.0, "default": 5.0}, "layers": {"type": "int", "low": 1, "high": 4, "step": 1, "log": false, "default": 1}, "head": {"type": "categorical", "choices": ["plain", "wide"], "default": "plain"}, "width": {"type": "loguniform", "low": 0.01, "high": 1.0, "default": 0.1, "when": {"head": "wide"}, "otherwise": 0.1}}, "settings": {}}');
INSERT INTO "study_user_attributes" VALUES(7,2,'hps:epoch','3');
INSERT INTO "study_user_attributes" VALUES(8,2,'hps:working_dir','"@FOLDER@"');
INSERT INTO "study_user_attributes" VALUES(9,2,'hps:target','16');
INSERT INTO "study_user_attributes" VALUES(10,2,'hps:gpu_hours','5.0');
INSERT INTO "study_user_attributes" VALUES(11,2,'hps:warm_start','{"source": "source", "source_id": "164b6fa9d27e43edacafc0056f855e2f", "points": [{"trial": 2, "params": {"x": 2.201889689473213, "layers": 1, "head": "wide", "width": 0.010627176297423045}, "value": 0.7476072440665871}], "prior": [{"trial": 2, "params": {"x": 2.201889689473213, "layers": 1, "head": "wide", "width": 0.010627176297423045}, "value": 0.7476072440665871}, {"trial": 0, "params": {"x": 5.0, "layers": 1, "head": "plain"}, "value": 4.199999999999999}]}');
INSERT INTO "study_user_attributes" VALUES(12,3,'hps:id','"3ea2ecdd0de2454bb77a61b5fa4ec68c"');
INSERT INTO "study_user_attributes" VALUES(13,3,'hps:definition','{"objective": {"metric": "eval_cer", "direction": "minimize"}, "search_mode": "bayesian", "sampler": "auto", "n_trials": 3, "pruner": {"type": "curve", "n_startup_trials": 2, "n_warmup_steps": null}, "seed": 11, "memory_grows_with": [], "preload": [], "env_pass": [], "max_retries": 2, "keep_adapters": 1, "description": "The built-in training with the demo''s tiny model, shortened by its settings alone", "search_space": {"learning_rate": {"type": "loguniform", "low": 0.0001, "high": 0.02, "default": 0.002}, "lora_r": {"type": "categorical", "choices": [2, 4], "default": 2}}, "model_name": "asset:digits/qwen3_vl", "model_revision": null, "family": "auto", "profile": "auto", "skip_verification": false, "backend": "auto", "load_in_4bit": false, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true, "precision": "auto", "input_data": "asset:digits/data", "dataset_subset": null, "dataset_revision": null, "image_column": null, "text_column": null, "document_column": null, "image_root": null, "train_split": "train", "val_split": "validation", "holdout_split": "holdout", "instruction": "Read.", "longest_edge": null, "max_pixels": null, "pan_and_scan": false, "max_seq_length": 64, "lora_alpha": 16.0, "lora_alpha_ratio": null, "lora_dropout": 0.0, "use_rslora": false, "use_dora": false, "finetune_vision_layers": false, "finetune_language_layers": true, "finetune_merger_layers": false, "finetune_attention_modules": true, "finetune_mlp_modules": true, "max_steps": 12, "effective_batch_size": null, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "warmup_ratio": 0.03, "warmup_steps": null, "weight_decay": 0.01, "lr_scheduler_type": "cosine", "optim": "adamw_torch", "label_smoothing_factor": 0.0, "max_grad_norm": 1.0, "gradient_checkpointing": false, "evaluations": 3, "eval_steps": null, "eval_stride": 1, "eval_samples": 4, "final_samples": 8, "eval_batch_size": 8, "max_new_tokens": 8, "compute_cer_wer": true, "skip_pre_eval": false, "early_stopping_patience": 0, "early_stopping_threshold": 0.0, "metric_for_best_model": "eval_cer", "load_best_model_at_end": false, "text_normalization": "nfc", "logging_steps": 10, "report_to": "none", "save_steps": 2, "save_total_limit": 1, "resume_from_checkpoint": null, "cpu_threads": 0, "dataloader_num_workers": null}');
INSERT INTO "study_user_attributes" VALUES(14,3,'hps:epoch','1');
INSERT INTO "study_user_attributes" VALUES(15,3,'hps:working_dir','"@FOLDER@"');
INSERT INTO "study_user_attributes" VALUES(16,3,'hps:prepared','{"backend": "hf", "backend_reason": "unsloth cannot work here: torch sees no CUDA GPU", "base": {"eval_cer": 0.84375, "eval_loss": 3.250152309735616, "eval_repeats": 0.0, "eval_wer": 1.0, "holdout_cer": 0.7878787878787878, "holdout_loss": 3.68507702496587, "holdout_repeats": 0.0, "holdout_wer": 1.0}, "data_revision": null, "device": "cpu", "family": "qwen3_vl", "figures": {"bytes": {"adapter": 24576, "logits": 29120, "rows": 876728, "trained": 98304, "weights": 3032448}, "effective_batch": 4, "evaluations": 3, "heaviest": [1, 2, 6, 9, 10, 17, 18, 19, 25, 26, 27, 28, 29, 37, 38, 39, 41, 43, 45, 50, 51, 58, 60, 62, 65, 66, 68, 69, 70, 71, 76, 77, 79, 80, 82, 84, 87, 88, 96, 97, 101, 103, 105, 109, 110, 112, 114, 118, 119, 124, 125, 126, 129, 136, 137, 138, 141, 143, 148, 153, 155, 156, 162, 166], "lora": {"language": {"modules": 14, "parameters": 176448, "trainable": 6144}}, "parameters": 758112, "steps": [12, 12], "tokens": {"longest": 38, "longest_answer": 7, "longest_picture": 5, "longest_question": 31, "median": 37, "median_answer": 6, "median_picture": 5}}, "fingerprint": "5c964d0eafaec83f85a40b8389210efcbb291daf87038c1134e8274df00c4b15", "lines": [["rows", "800 train, 96 validation, 96 holdout"], ["model", "asset:digits/qwen3_vl (family qwen3_vl), 758 thousand parameters"], ["tokens", "37 tokens a row (5 of its picture, 6 of its answer), the longest 38 (max_seq_length 64)"], ["pictures", "up to 5 visual tokens (of 80x16 pixels)"], ["LoRA language", "14 modules, 6.14 thousand trained (3.48% of the tower)"], ["batch", "4 rows x 1 passes = effective batch 4"], ["steps", "12 steps a trial"], ["memory", "at least 3.16 MB: weights 3.03 MB, LoRA and optimiser 98.3 kB, logits 29.1 kB; activations come on top"], ["judging", "4 rows at every evaluation, at most 8 of each set at the end"]], "model_fingerprint": "a9e7a980106e22ca494b2bf089142756c5cae90b3c75f62f8a0be268831e1371", "model_path": "@PACKAGE@/assets/digits/qwen3_vl", "precision": "fp32", "profile": null, "resolved": {"eval_samples": 4, "eval_stride": 1, "final_samples": 8}, "rows": {"holdout": 96, "train": 800, "validation": 96}, "samples": [{"id": "validation.parquet#6", "prediction": "555", "reference": "004"}, {"id": "validation.parquet#11", "prediction": "63390", "reference": "48384"}, {"id": "validation.parquet#16", "prediction": "1337", "reference": "1753"}], "settings": {"backend": "auto", "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true, "compute_cer_wer": true, "cpu_threads": 0, "dataloader_num_workers": null, "dataset_revision": null, "dataset_subset": null, "document_column": null, "early_stopping_patience": 0, "early_stopping_threshold": 0.0, "effective_batch_size": null, "eval_batch_size": 8, "eval_samples": 4, "eval_steps": null, "eval_stride": 1, "evaluations": 3, "family": "auto", "final_samples": 8, "finetune_attention_modules": true, "finetune_language_layers": true, "finetune_merger_layers": false, "finetune_mlp_modules": true, "finetune_vision_layers": false, "gradient_accumulation_steps": 1, "gradient_checkpointing": false, "holdout_fraction": 0.3, "holdout_split": "holdout", "image_column": null, "image_root": null, "input_data": "asset:digits/data", "instruction": "Read.", "label_smoothing_factor": 0.0, "learning_rate": 0.002, "load_best_model_at_end": false, "load_in_4bit": false, "logging_steps": 10, "longest_edge": null, "lora_alpha": 16.0, "lora_alpha_ratio": null, "lora_dropout": 0.0, "lora_r": 2, "lr_scheduler_type": "cosine", "max_grad_norm": 1.0, "max_new_tokens": 8, "max_pixels": null, "max_seq_length": 64, "max_steps": 12, "metric_for_best_model": "eval_cer", "model_name": "asset:digits/qwen3_vl", "model_revision": null, "num_train_epochs": 3.0, "optim": "adamw_torch", "pan_and_scan": false, "per_device_train_batch_size": 4, "precision": "auto", "profile": "auto", "report_to": "none", "resume_from_checkpoint": null, "save_steps": 2, "save_total_limit": 1, "seed": 0, "skip_pre_eval": false, "skip_verification": false, "text_column": null, "text_normalization": "nfc", "train_split": "train", "use_dora": false, "use_rslora": false, "val_ratio": 0.1, "val_split": "validation", "warmup_ratio": 0.03, "warmup_steps": null, "weight_decay": 0.01}, "stamp": "3b95733e7cb2cd5701632a2d7a24be95f74a7cc6cf98a58f6afbc0cc2553bcf0", "versions": {"accelerate": "1.15.0", "bitsandbytes": "0.50.2", "datasets": "5.2.0", "peft": "0.21.2", "pillow": "13.0.0", "python": "3.11.7", "tokenizers": "0.23.3", "torch": "2.13.0+cpu", "transformers": "5.23.0", "trl": "1.16.0"}, "warnings": ["max_steps is 12: of 800 rows a trial sees 48"]}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,5.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,4.69999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,4.53333333333333232673e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,1,4,4.44999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(6,3,1,1.7476072440665870733e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,3,2,1.2476072440665870733e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,3,3,1.08094057739992033262e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,3,4,9.97607244066587073305e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,4,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(11,5,1,5.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,5,2,4.69999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,5,3,4.53333333333333232673e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(14,5,4,4.44999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(15,6,1,1.7476072440665870733e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(16,6,2,1.2476072440665870733e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(17,6,3,1.08094057739992033262e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(18,6,4,9.97607244066587073305e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(19,7,1,2.6,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(20,7,2,2.1,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(21,7,3,1.93333333333333334813e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(22,7,4,1.85,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(23,8,1,3.14500000000000028426e+01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(24,9,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(25,10,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(26,14,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(27,15,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(28,16,1,3.33204199605464568278e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(29,17,1,1.31625884919993718646e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(30,17,2,8.16258849199937186469e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(31,17,3,6.4959218253327055681e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(32,17,4,5.66258849199937186469e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(33,18,1,1.21881143886578069412e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(34,18,2,7.18811438865780805151e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(35,18,3,5.5214477219911406447e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(36,18,4,4.68811438865780805151e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(37,19,1,4.31356862670972418527e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(38,20,1,1.48116968568145757068e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(39,20,2,9.8116968568145757068e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(40,20,3,8.14503019014790829999e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(41,20,4,7.3116968568145757068e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(42,21,1,1.11121298667625789668e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(43,21,2,6.11212986676257896689e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(44,22,1,1.11121298667625789668e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(45,22,2,6.11212986676257896689e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(46,22,3,4.4454632000959126703e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(47,22,4,3.61212986676257952201e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(48,23,1,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(49,23,2,0.6875,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(50,23,3,0.6875,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(51,24,1,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(52,24,2,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(53,24,3,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(54,25,1,0.5625,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'x',5.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(2,1,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(3,1,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(4,2,'x',7.65686925182218569574e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(5,2,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(6,2,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(7,2,'width',1.5269037507449397667e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(8,3,'x',2.20188968947321317415e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(9,3,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(10,3,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(11,3,'width',1.06271762974230448567e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(12,4,'x',1.0692109790514370271e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(13,4,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(14,4,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(15,5,'x',5.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(16,5,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(17,5,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(18,6,'x',2.20188968947321317415e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(19,6,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(20,6,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(21,6,'width',1.06271762974230448567e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(22,7,'x',4.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(23,7,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(24,7,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(25,7,'width',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(26,8,'x',8.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(27,8,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(28,8,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(29,9,'x',9.1,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(30,9,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(31,9,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(32,10,'x',9.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(33,10,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(34,10,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(35,11,'x',9.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(36,11,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(37,11,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(38,12,'x',9.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(39,12,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(40,12,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(41,13,'x',9.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(42,13,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(43,13,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(44,14,'x',4.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(45,14,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(46,14,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(47,15,'x',5.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(48,15,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(49,15,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(50,16,'x',1.55645446611412374693e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(51,16,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(52,16,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(53,16,'width',1.48218287652785829511e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(54,17,'x',3.45415729565860463168e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(55,17,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(56,17,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(57,17,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(58,18,'x',3.09386926475572687778e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(59,18,'layers',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(60,18,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(61,18,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(62,19,'x',1.23546928994995286466e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(63,19,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(64,19,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(65,20,'x',3.41372658324243261063e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(66,20,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(67,20,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(68,20,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(69,21,'x',3.03482795825565920821e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(70,21,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(71,21,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(72,21,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(73,22,'x',3.03482795825565920821e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(74,22,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(75,22,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(76,22,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(77,23,'learning_rate',0.002,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(78,23,'lora_r',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
INSERT INTO "trial_params" VALUES(79,24,'learning_rate',1.20831275041073855393e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(80,24,'lora_r',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
INSERT INTO "trial_params" VALUES(81,25,'learning_rate',1.94679602683452274147e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(82,25,'lora_r',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'fixed_params','{"x": 5.0, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(2,1,'hps:mark','"fabbca27c99f4117b80b05c2888ba5be"');
INSERT INTO "trial_system_attributes" VALUES(3,2,'hps:mark','"9d92547593274142a1c6eb7cf5064953"');
INSERT INTO "trial_system_attributes" VALUES(4,3,'hps:mark','"40f85b54cb84496a977507990ae63603"');
INSERT INTO "trial_system_attributes" VALUES(5,4,'hps:mark','"0af06b2bf06b4b99a65c1ae157492660"');
INSERT INTO "trial_system_attributes" VALUES(6,5,'fixed_params','{"x": 5.0, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(7,5,'hps:mark','"22f04ca38c1a46cfa48f57ac4a5b6444"');
INSERT INTO "trial_system_attributes" VALUES(8,6,'fixed_params','{"x": 2.201889689473213, "layers": 1, "head": "wide", "width": 0.010627176297423045}');
INSERT INTO "trial_system_attributes" VALUES(9,6,'hps:mark','"54cd2ba145e9463f8b2d20e884e95d82"');
INSERT INTO "trial_system_attributes" VALUES(10,7,'fixed_params','{"x": 4.0, "layers": 1, "head": "wide", "width": 0.5}');
INSERT INTO "trial_system_attributes" VALUES(11,7,'hps:mark','"5c8847bb408f47a687a2c68ddd7d505e"');
INSERT INTO "trial_system_attributes" VALUES(12,8,'fixed_params','{"x": 8.5, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(13,8,'hps:mark','"3ed0b15828ee4e449736a34e6713914e"');
INSERT INTO "trial_system_attributes" VALUES(14,9,'fixed_params','{"x": 9.1, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(15,9,'hps:mark','"bb0ff58a67fa4b28b219430cbbd0fc44"');
INSERT INTO "trial_system_attributes" VALUES(16,10,'fixed_params','{"x": 9.3, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(17,10,'hps:mark','"7ed78c2898c04922b8c8a2233592feed"');
INSERT INTO "trial_system_attributes" VALUES(18,11,'fixed_params','{"x": 9.6, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(19,11,'hps:mark','"3f5194d5dc9b407db4870de1932e95eb"');
INSERT INTO "trial_system_attributes" VALUES(20,12,'fixed_params','{"x": 9.6, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(21,12,'hps:mark','"27d6c313b9974c248a13b0c61970c587"');
INSERT INTO "trial_system_attributes" VALUES(22,13,'fixed_params','{"x": 9.9, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(23,13,'hps:mark','"216b4a7d3e2a45b8a6cd3e47444502a7"');
INSERT INTO "trial_system_attributes" VALUES(24,14,'fixed_params','{"x": 4.5, "layers": 4, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(25,14,'hps:mark','"0cd90b0340d94f499a7034f0f14455b2"');
INSERT INTO "trial_system_attributes" VALUES(26,15,'fixed_params','{"x": 5.5, "layers": 4, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(27,15,'hps:mark','"c9d9b5be6b334a4e8b9ec70a9845c46b"');
INSERT INTO "trial_system_attributes" VALUES(28,16,'hps:mark','"f4cc84c8064840a2b7499b64f39be868"');
INSERT INTO "trial_system_attributes" VALUES(29,17,'hps:mark','"1e2920b6c5e045899c1f429e992d8ac4"');
INSERT INTO "trial_system_attributes" VALUES(30,18,'hps:mark','"9d31a7db675a44fdb395315bad14331b"');
INSERT INTO "trial_system_attributes" VALUES(31,19,'hps:mark','"a4cb9fd1274e4331a365a2978cc5ce5b"');
INSERT INTO "trial_system_attributes" VALUES(32,20,'hps:mark','"efa9c469c1de4bc297fe838eb44ce139"');
INSERT INTO "trial_system_attributes" VALUES(33,21,'hps:mark','"0bc12d09f7da42e4aec39a0b0f0c733d"');
INSERT INTO "trial_system_attributes" VALUES(34,22,'fixed_params','{"x": 3.034827958255659, "layers": 1, "head": "wide", "width": 0.010000000000000004}');
INSERT INTO "trial_system_attributes" VALUES(35,22,'hps:mark','"b7695466596f4fae97e2008f3b74997b"');
INSERT INTO "trial_system_attributes" VALUES(36,23,'fixed_params','{"learning_rate": 0.002, "lora_r": 2}');
INSERT INTO "trial_system_attributes" VALUES(37,23,'hps:mark','"6c29a2f4da8e420284b1102bce701275"');
INSERT INTO "trial_system_attributes" VALUES(38,24,'hps:mark','"e88bbd0f6ff24143a3d9e74e808a9a43"');
INSERT INTO "trial_system_attributes" VALUES(39,25,'hps:mark','"6f1e8968bea14e6a92b35ef160309af9"');
INSERT INTO "trial_system_attributes" VALUES(40,26,'fixed_params','{"learning_rate": 0.019467960268345227, "lora_r": 4}');
INSERT INTO "trial_system_attributes" VALUES(41,26,'hps:mark','"6ece6e8452d44806955df57fe1dcb6da"');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'hps:default','true');
INSERT INTO "trial_user_attributes" VALUES(2,1,'hps:root','0');
INSERT INTO "trial_user_attributes" VALUES(3,1,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(4,1,'hps:seed','2945139811');
INSERT INTO "trial_user_attributes" VALUES(5,1,'hps:folder','"trial_0"');
INSERT INTO "trial_user_attributes" VALUES(6,1,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(7,1,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(8,1,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(9,1,'hps:duration_s','1.234');
INSERT INTO "trial_user_attributes" VALUES(10,1,'hps:metrics','{"holdout_score": 4.699999999999999, "score": 4.199999999999999}');
INSERT INTO "trial_user_attributes" VALUES(11,2,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(12,2,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(13,2,'hps:seed','4101954583');
INSERT INTO "trial_user_attributes" VALUES(14,2,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(15,2,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(16,2,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(17,2,'hps:message','"exited with code 1: CUDA out of memory. Tried to allocate 20.00 GiB"');
INSERT INTO "trial_user_attributes" VALUES(18,2,'hps:duration_s','0.99');
INSERT INTO "trial_user_attributes" VALUES(19,3,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(20,3,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(21,3,'hps:seed','159372992');
INSERT INTO "trial_user_attributes" VALUES(22,3,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(23,3,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(24,3,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(25,3,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(26,3,'hps:duration_s','1.248');
INSERT INTO "trial_user_attributes" VALUES(27,3,'hps:metrics','{"holdout_score": 1.247607244066587, "score": 0.7476072440665871}');
INSERT INTO "trial_user_attributes" VALUES(28,4,'hps:root','3');
INSERT INTO "trial_user_attributes" VALUES(29,4,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(30,4,'hps:seed','2442660755');
INSERT INTO "trial_user_attributes" VALUES(31,4,'hps:folder','"trial_3"');
INSERT INTO "trial_user_attributes" VALUES(32,4,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(33,4,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(34,4,'hps:message','"exited with code 1: CUDA out of memory. Tried to allocate 20.00 GiB"');
INSERT INTO "trial_user_attributes" VALUES(35,4,'hps:duration_s','0.992');
INSERT INTO "trial_user_attributes" VALUES(36,5,'hps:default','true');
INSERT INTO "trial_user_attributes" VALUES(37,5,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(38,5,'hps:root','0');
INSERT INTO "trial_user_attributes" VALUES(39,5,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(40,5,'hps:seed','1954216075');
INSERT INTO "trial_user_attributes" VALUES(41,5,'hps:folder','"trial_0"');
INSERT INTO "trial_user_attributes" VALUES(42,5,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(43,5,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(44,5,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(45,5,'hps:duration_s','0.867');
INSERT INTO "trial_user_attributes" VALUES(46,5,'hps:metrics','{"holdout_score": 4.699999999999999, "score": 4.199999999999999}');
INSERT INTO "trial_user_attributes" VALUES(47,6,'hps:carried','2');
INSERT INTO "trial_user_attributes" VALUES(48,6,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(49,6,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(50,6,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(51,6,'hps:seed','3248823118');
INSERT INTO "trial_user_attributes" VALUES(52,6,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(53,6,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(54,6,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(55,6,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(56,6,'hps:duration_s','0.915');
INSERT INTO "trial_user_attributes" VALUES(57,6,'hps:metrics','{"holdout_score": 1.247607244066587, "score": 0.7476072440665871}');
INSERT INTO "trial_user_attributes" VALUES(58,7,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(59,7,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(60,7,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(61,7,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(62,7,'hps:seed','2485135193');
INSERT INTO "trial_user_attributes" VALUES(63,7,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(64,7,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(65,7,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(66,7,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(67,7,'hps:duration_s','1.404');
INSERT INTO "trial_user_attributes" VALUES(68,7,'hps:metrics','{"holdout_score": 2.1, "score": 1.6}');
INSERT INTO "trial_user_attributes" VALUES(69,8,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(70,8,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(71,8,'hps:root','3');
INSERT INTO "trial_user_attributes" VALUES(72,8,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(73,8,'hps:seed','2191110312');
INSERT INTO "trial_user_attributes" VALUES(74,8,'hps:folder','"trial_3"');
INSERT INTO "trial_user_attributes" VALUES(75,8,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(76,8,'hps:outcome','"pruned"');
INSERT INTO "trial_user_attributes" VALUES(77,8,'hps:message','"stopped by the pruner after step 1"');
INSERT INTO "trial_user_attributes" VALUES(78,8,'hps:duration_s','1.13');
INSERT INTO "trial_user_attributes" VALUES(79,9,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(80,9,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(81,9,'hps:root','4');
INSERT INTO "trial_user_attributes" VALUES(82,9,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(83,9,'hps:seed','1270697568');
INSERT INTO "trial_user_attributes" VALUES(84,9,'hps:folder','"trial_4"');
INSERT INTO "trial_user_attributes" VALUES(85,9,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(86,9,'hps:outcome','"diverged"');
INSERT INTO "trial_user_attributes" VALUES(87,9,'hps:message','"score is nan at step 1"');
INSERT INTO "trial_user_attributes" VALUES(88,9,'hps:duration_s','0.818');
INSERT INTO "trial_user_attributes" VALUES(89,10,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(90,10,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(91,10,'hps:root','5');
INSERT INTO "trial_user_attributes" VALUES(92,10,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(93,10,'hps:seed','1462885038');
INSERT INTO "trial_user_attributes" VALUES(94,10,'hps:folder','"trial_5"');
INSERT INTO "trial_user_attributes" VALUES(95,10,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(96,10,'hps:outcome','"invalid"');
INSERT INTO "trial_user_attributes" VALUES(97,10,'hps:message','"x and layers do not go together"');
INSERT INTO "trial_user_attributes" VALUES(98,10,'hps:duration_s','0.802');
INSERT INTO "trial_user_attributes" VALUES(99,11,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(100,11,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(101,11,'hps:root','6');
INSERT INTO "trial_user_attributes" VALUES(102,11,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(103,11,'hps:seed','2347998073');
INSERT INTO "trial_user_attributes" VALUES(104,11,'hps:folder','"trial_6"');
INSERT INTO "trial_user_attributes" VALUES(105,11,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(106,11,'hps:outcome','"signal"');
INSERT INTO "trial_user_attributes" VALUES(107,11,'hps:message','"died of SIGSEGV"');
INSERT INTO "trial_user_attributes" VALUES(108,11,'hps:duration_s','0.528');
INSERT INTO "trial_user_attributes" VALUES(109,12,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(110,12,'hps:root','6');
INSERT INTO "trial_user_attributes" VALUES(111,12,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(112,12,'hps:retry_of','6');
INSERT INTO "trial_user_attributes" VALUES(113,12,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(114,12,'hps:seed','2347998073');
INSERT INTO "trial_user_attributes" VALUES(115,12,'hps:folder','"trial_6/attempt-2"');
INSERT INTO "trial_user_attributes" VALUES(116,12,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(117,12,'hps:outcome','"signal"');
INSERT INTO "trial_user_attributes" VALUES(118,12,'hps:message','"died of SIGSEGV"');
INSERT INTO "trial_user_attributes" VALUES(119,12,'hps:duration_s','0.547');
INSERT INTO "trial_user_attributes" VALUES(120,13,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(121,13,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(122,13,'hps:root','8');
INSERT INTO "trial_user_attributes" VALUES(123,13,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(124,13,'hps:seed','3291238796');
INSERT INTO "trial_user_attributes" VALUES(125,13,'hps:folder','"trial_8"');
INSERT INTO "trial_user_attributes" VALUES(126,13,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(127,13,'hps:outcome','"crash"');
INSERT INTO "trial_user_attributes" VALUES(128,13,'hps:message','"exited with code 1: RuntimeError: the rows cannot be read"');
INSERT INTO "trial_user_attributes" VALUES(129,13,'hps:duration_s','0.928');
INSERT INTO "trial_user_attributes" VALUES(130,14,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(131,14,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(132,14,'hps:root','9');
INSERT INTO "trial_user_attributes" VALUES(133,14,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(134,14,'hps:seed','2553024286');
INSERT INTO "trial_user_attributes" VALUES(135,14,'hps:folder','"trial_9"');
INSERT INTO "trial_user_attributes" VALUES(136,14,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(137,14,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(138,14,'hps:message','"exited with code 1: CUDA out of memory. Tried to allocate 20.00 GiB"');
INSERT INTO "trial_user_attributes" VALUES(139,14,'hps:duration_s','0.843');
INSERT INTO "trial_user_attributes" VALUES(140,15,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(141,15,'hps:not_tried','true');
INSERT INTO "trial_user_attributes" VALUES(142,15,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(143,15,'hps:message','"not tried: it needs at least as much device memory as trial 9, which ran out of it"');
INSERT INTO "trial_user_attributes" VALUES(144,15,'hps:duration_s','0.0');
INSERT INTO "trial_user_attributes" VALUES(145,16,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(146,16,'hps:root','11');
INSERT INTO "trial_user_attributes" VALUES(147,16,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(148,16,'hps:seed','3041122578');
INSERT INTO "trial_user_attributes" VALUES(149,16,'hps:folder','"trial_11"');
INSERT INTO "trial_user_attributes" VALUES(150,16,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(151,16,'hps:outcome','"pruned"');
INSERT INTO "trial_user_attributes" VALUES(152,16,'hps:message','"stopped by the pruner after step 1"');
INSERT INTO "trial_user_attributes" VALUES(153,16,'hps:duration_s','0.714');
INSERT INTO "trial_user_attributes" VALUES(154,17,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(155,17,'hps:root','12');
INSERT INTO "trial_user_attributes" VALUES(156,17,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(157,17,'hps:seed','3401655965');
INSERT INTO "trial_user_attributes" VALUES(158,17,'hps:folder','"trial_12"');
INSERT INTO "trial_user_attributes" VALUES(159,17,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(160,17,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(161,17,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(162,17,'hps:duration_s','0.767');
INSERT INTO "trial_user_attributes" VALUES(163,17,'hps:metrics','{"holdout_score": 0.8162588491999372, "score": 0.31625884919993724}');
INSERT INTO "trial_user_attributes" VALUES(164,18,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(165,18,'hps:root','13');
INSERT INTO "trial_user_attributes" VALUES(166,18,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(167,18,'hps:seed','3030911365');
INSERT INTO "trial_user_attributes" VALUES(168,18,'hps:folder','"trial_13"');
INSERT INTO "trial_user_attributes" VALUES(169,18,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(170,18,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(171,18,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(172,18,'hps:duration_s','0.577');
INSERT INTO "trial_user_attributes" VALUES(173,18,'hps:metrics','{"holdout_score": 0.7188114388657808, "score": 0.21881143886578078}');
INSERT INTO "trial_user_attributes" VALUES(174,19,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(175,19,'hps:root','14');
INSERT INTO "trial_user_attributes" VALUES(176,19,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(177,19,'hps:seed','344484008');
INSERT INTO "trial_user_attributes" VALUES(178,19,'hps:folder','"trial_14"');
INSERT INTO "trial_user_attributes" VALUES(179,19,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(180,19,'hps:outcome','"pruned"');
INSERT INTO "trial_user_attributes" VALUES(181,19,'hps:message','"stopped by the pruner after step 1"');
INSERT INTO "trial_user_attributes" VALUES(182,19,'hps:duration_s','0.646');
INSERT INTO "trial_user_attributes" VALUES(183,20,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(184,20,'hps:root','15');
INSERT INTO "trial_user_attributes" VALUES(185,20,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(186,20,'hps:seed','1726573057');
INSERT INTO "trial_user_attributes" VALUES(187,20,'hps:folder','"trial_15"');
INSERT INTO "trial_user_attributes" VALUES(188,20,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(189,20,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(190,20,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(191,20,'hps:duration_s','0.639');
INSERT INTO "trial_user_attributes" VALUES(192,20,'hps:metrics','{"holdout_score": 0.9811696856814576, "score": 0.48116968568145757}');
INSERT INTO "trial_user_attributes" VALUES(193,21,'hps:root','16');
INSERT INTO "trial_user_attributes" VALUES(194,21,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(195,21,'hps:seed','1435355949');
INSERT INTO "trial_user_attributes" VALUES(196,21,'hps:folder','"trial_16"');
INSERT INTO "trial_user_attributes" VALUES(197,21,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(198,21,'hps:outcome','"interrupted"');
INSERT INTO "trial_user_attributes" VALUES(199,21,'hps:message','"stopped on request"');
INSERT INTO "trial_user_attributes" VALUES(200,21,'hps:duration_s','0.823');
INSERT INTO "trial_user_attributes" VALUES(201,22,'hps:root','16');
INSERT INTO "trial_user_attributes" VALUES(202,22,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(203,22,'hps:retry_of','16');
INSERT INTO "trial_user_attributes" VALUES(204,22,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(205,22,'hps:seed','1435355949');
INSERT INTO "trial_user_attributes" VALUES(206,22,'hps:folder','"trial_16/attempt-2"');
INSERT INTO "trial_user_attributes" VALUES(207,22,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(208,23,'hps:default','true');
INSERT INTO "trial_user_attributes" VALUES(209,23,'hps:root','0');
INSERT INTO "trial_user_attributes" VALUES(210,23,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(211,23,'hps:seed','704716620');
INSERT INTO "trial_user_attributes" VALUES(212,23,'hps:folder','"trial_0"');
INSERT INTO "trial_user_attributes" VALUES(213,23,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(214,23,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(215,23,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(216,23,'hps:duration_s','14.794');
INSERT INTO "trial_user_attributes" VALUES(217,23,'hps:metrics','{"activations_recomputed": 0.0, "best_step": 12.0, "eval_cer": 0.75, "eval_loss": 2.2616838216781616, "eval_repeats": 0.0, "eval_seconds": 3.762134956999944, "eval_wer": 1.0, "holdout_cer": 0.7575757575757576, "holdout_loss": 2.5723273997404137, "holdout_repeats": 0.0, "holdout_wer": 1.0, "it_per_s": 1.5453084543111892, "micro_batch_size": 4.0, "oom_backoffs": 0.0, "peak_memory_bytes": 446406656.0, "steps": 12.0, "tokens_per_s": 228.83442694258196, "train_seconds": 7.765439946000242}');
INSERT INTO "trial_user_attributes" VALUES(218,24,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(219,24,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(220,24,'hps:seed','2706017927');
INSERT INTO "trial_user_attributes" VALUES(221,24,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(222,24,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(223,24,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(224,24,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(225,24,'hps:duration_s','11.286');
INSERT INTO "trial_user_attributes" VALUES(226,24,'hps:metrics','{"activations_recomputed": 0.0, "best_step": 12.0, "eval_cer": 0.84375, "eval_loss": 3.2143287857373557, "eval_repeats": 0.0, "eval_seconds": 2.1834336039996742, "eval_wer": 1.0, "holdout_cer": 0.7878787878787878, "holdout_loss": 3.65065200961366, "holdout_repeats": 0.0, "holdout_wer": 1.0, "it_per_s": 2.1508117037098535, "micro_batch_size": 4.0, "oom_backoffs": 0.0, "peak_memory_bytes": 450138112.0, "steps": 12.0, "tokens_per_s": 319.03706938362825, "train_seconds": 5.579288963000181}');
INSERT INTO "trial_user_attributes" VALUES(227,25,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(228,25,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(229,25,'hps:seed','3242365133');
INSERT INTO "trial_user_attributes" VALUES(230,25,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(231,25,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(232,25,'hps:outcome','"interrupted"');
INSERT INTO "trial_user_attributes" VALUES(233,25,'hps:message','"stopped on request"');
INSERT INTO "trial_user_attributes" VALUES(234,25,'hps:duration_s','7.327');
INSERT INTO "trial_user_attributes" VALUES(235,26,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(236,26,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(237,26,'hps:retry_of','2');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,4.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,3,0,7.47607244066587073305e-01,'FINITE');
INSERT INTO "trial_values" VALUES(3,5,0,4.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_values" VALUES(4,6,0,7.47607244066587073305e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,7,0,1.6,'FINITE');
INSERT INTO "trial_values" VALUES(6,8,0,3.14500000000000028426e+01,'FINITE');
INSERT INTO "trial_values" VALUES(7,16,0,3.33204199605464568278e+00,'FINITE');
INSERT INTO "trial_values" VALUES(8,17,0,3.1625884919993724198e-01,'FINITE');
INSERT INTO "trial_values" VALUES(9,18,0,2.18811438865780777396e-01,'FINITE');
INSERT INTO "trial_values" VALUES(10,19,0,4.31356862670972418527e+00,'FINITE');
INSERT INTO "trial_values" VALUES(11,20,0,4.8116968568145757068e-01,'FINITE');
INSERT INTO "trial_values" VALUES(12,23,0,0.75,'FINITE');
INSERT INTO "trial_values" VALUES(13,24,0,0.84375,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 14:56:18.489576','2026-11-30 14:56:20.477066');
INSERT INTO "trials" VALUES(2,1,1,'PRUNED','2026-11-30 14:56:20.585020','2026-11-30 14:56:22.133342');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-30 14:56:22.065527','2026-11-30 14:56:24.067590');
INSERT INTO "trials" VALUES(4,3,1,'PRUNED','2026-11-30 14:56:24.098094','2026-11-30 14:56:25.501334');
INSERT INTO "trials" VALUES(5,0,2,'COMPLETE','2026-11-30 14:56:43.549461','2026-11-30 14:56:45.136879');
INSERT INTO "trials" VALUES(6,1,2,'COMPLETE','2026-11-30 14:56:45.200338','2026-11-30 14:56:46.483552');
INSERT INTO "trials" VALUES(7,2,2,'COMPLETE','2026-11-30 14:56:46.554123','2026-11-30 14:56:48.614069');
INSERT INTO "trials" VALUES(8,3,2,'PRUNED','2026-11-30 14:56:48.780496','2026-11-30 14:56:50.611216');
INSERT INTO "trials" VALUES(9,4,2,'PRUNED','2026-11-30 14:56:50.757383','2026-11-30 14:56:52.251613');
INSERT INTO "trials" VALUES(10,5,2,'PRUNED','2026-11-30 14:56:52.419585','2026-11-30 14:56:53.800921');
INSERT INTO "trials" VALUES(11,6,2,'FAIL','2026-11-30 14:56:53.894651','2026-11-30 14:56:54.901512');
INSERT INTO "trials" VALUES(12,7,2,'FAIL','2026-11-30 14:56:55.019095','2026-11-30 14:56:56.044162');
INSERT INTO "trials" VALUES(13,8,2,'FAIL','2026-11-30 14:56:56.158421','2026-11-30 14:56:57.761042');
INSERT INTO "trials" VALUES(14,9,2,'PRUNED','2026-11-30 14:56:57.909152','2026-11-30 14:57:00.750682');
INSERT INTO "trials" VALUES(15,10,2,'PRUNED','2026-11-30 14:57:00.858568','2026-11-30 14:57:01.037130');
INSERT INTO "trials" VALUES(16,11,2,'PRUNED','2026-11-30 14:56:59.266715','2026-11-30 14:57:03.995486');
INSERT INTO "trials" VALUES(17,12,2,'COMPLETE','2026-11-30 14:57:02.361883','2026-11-30 14:57:05.190902');
INSERT INTO "trials" VALUES(18,13,2,'COMPLETE','2026-11-30 14:57:05.267817','2026-11-30 14:57:07.519669');
INSERT INTO "trials" VALUES(19,14,2,'PRUNED','2026-11-30 14:57:07.597653','2026-11-30 14:57:11.599394');
INSERT INTO "trials" VALUES(20,15,2,'COMPLETE','2026-11-30 14:57:09.851660','2026-11-30 14:57:12.771393');
INSERT INTO "trials" VALUES(21,16,2,'FAIL','2026-11-30 14:57:25.538643','2026-11-30 14:57:28.625084');
INSERT INTO "trials" VALUES(22,17,2,'RUNNING','2026-11-30 14:57:39.225463',NULL);
INSERT INTO "trials" VALUES(23,0,3,'COMPLETE','2026-11-30 14:58:40.232260','2026-11-30 14:58:56.652315');
INSERT INTO "trials" VALUES(24,1,3,'COMPLETE','2026-11-30 14:58:56.768826','2026-11-30 14:59:08.595274');
INSERT INTO "trials" VALUES(25,2,3,'FAIL','2026-11-30 14:59:08.545398','2026-11-30 14:59:16.383217');
INSERT INTO "trials" VALUES(26,3,3,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
