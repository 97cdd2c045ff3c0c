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
INSERT INTO "study_user_attributes" VALUES(1,1,'hps:id','"e2d46c0b120d47018244eaf77a1797e8"');
INSERT INTO "study_user_attributes" VALUES(2,1,'hps:definition','{"objective": {"metric": "score", "direction": "minimize"}, "search_mode": "bayesian", "sampler": "auto", "try_first": [{"x": 2.0, "head": "wide", "width": 0.05}, {"x": 3.8}, {"x": 2.6, "layers": 2}], "n_trials": 4, "pruner": {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 1}, "seed": 3, "command": ["@PYTHON@", "program.py", "--x", "{x}", "--layers", "{layers}", "--head", "{head}", "--width", "{width}", "--seed", "{seed}", "--out", "{output_dir}"], "memory_grows_with": ["layers"], "preload": [], "env_pass": [], "max_retries": 1, "trial_timeout_s": 300.0, "keep_adapters": 2, "description": "A program of one''s own, with every kind of range and ending", "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 10.0, "default": 5.0}, "layers": {"type": "int", "low": 1, "high": 4, "step": 1, "log": false, "default": 1}, "head": {"type": "categorical", "choices": ["plain", "wide"], "default": "plain"}, "width": {"type": "loguniform", "low": 0.01, "high": 1.0, "default": 0.1, "when": {"head": "wide"}, "otherwise": 0.1}}, "settings": {}}');
INSERT INTO "study_user_attributes" VALUES(3,1,'hps:epoch','1');
INSERT INTO "study_user_attributes" VALUES(4,1,'hps:working_dir','"@FOLDER@"');
INSERT INTO "study_user_attributes" VALUES(5,2,'hps:id','"05d9a648e83c4b35b11b214fa6a05c0e"');
INSERT INTO "study_user_attributes" VALUES(6,2,'hps:definition','{"objective": {"metric": "score", "direction": "minimize"}, "search_mode": "bayesian", "sampler": "auto", "try_first": [{"x": 4.0, "head": "wide", "width": 0.5}, {"x": 8.5}, {"x": 9.1}, {"x": 9.3}, {"x": 9.6}, {"x": 9.9}, {"x": 4.5, "layers": 4}, {"x": 5.5, "layers": 4}], "n_trials": 40, "pruner": {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 1}, "seed": 7, "command": ["@PYTHON@", "program.py", "--x", "{x}", "--layers", "{layers}", "--head", "{head}", "--width", "{width}", "--seed", "{seed}", "--out", "{output_dir}"], "memory_grows_with": ["layers"], "preload": [], "env_pass": [], "max_retries": 1, "trial_timeout_s": 300.0, "keep_adapters": 2, "description": "A program of one''s own, with every kind of range and ending", "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 10.0, "default": 5.0}, "layers": {"type": "int", "low": 1, "high": 4, "step": 1, "log": false, "default": 1}, "head": {"type": "categorical", "choices": ["plain", "wide"], "default": "plain"}, "width": {"type": "loguniform", "low": 0.01, "high": 1.0, "default": 0.1, "when": {"head": "wide"}, "otherwise": 0.1}}, "settings": {}}');
INSERT INTO "study_user_attributes" VALUES(7,2,'hps:epoch','3');
INSERT INTO "study_user_attributes" VALUES(8,2,'hps:working_dir','"@FOLDER@"');
INSERT INTO "study_user_attributes" VALUES(9,2,'hps:target','16');
INSERT INTO "study_user_attributes" VALUES(10,2,'hps:gpu_hours','5.0');
INSERT INTO "study_user_attributes" VALUES(11,2,'hps:warm_start','{"source": "source", "source_id": "e2d46c0b120d47018244eaf77a1797e8", "points": [{"trial": 3, "params": {"x": 2.6, "layers": 2, "head": "plain"}, "value": 0.45999999999999996}, {"trial": 2, "params": {"x": 3.8, "layers": 1, "head": "plain"}, "value": 0.8399999999999996}, {"trial": 1, "params": {"x": 2.0, "layers": 1, "head": "wide", "width": 0.05}, "value": 1.1500000000000001}], "prior": [{"trial": 3, "params": {"x": 2.6, "layers": 2, "head": "plain"}, "value": 0.45999999999999996}, {"trial": 2, "params": {"x": 3.8, "layers": 1, "head": "plain"}, "value": 0.8399999999999996}, {"trial": 1, "params": {"x": 2.0, "layers": 1, "head": "wide", "width": 0.05}, "value": 1.1500000000000001}, {"trial": 0, "params": {"x": 5.0, "layers": 1, "head": "plain"}, "value": 4.199999999999999}]}');
INSERT INTO "study_user_attributes" VALUES(12,3,'hps:id','"661b0a35f6dd4499b66dca21350d18ec"');
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
INSERT INTO "trial_intermediate_values" VALUES(5,2,1,2.15000000000000035527e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,2,1.65000000000000013322e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,2,3,1.48333333333333339254e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,2,4,1.40000000000000013322e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,3,1,1.83999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,3,2,1.33999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,3,3,1.17333333333333289516e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,3,4,1.08999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,4,1,1.46,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(14,4,2,0.96,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(15,4,3,7.93333333333333223791e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(16,4,4,0.71,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(17,5,1,5.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(18,5,2,4.69999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(19,5,3,4.53333333333333232673e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(20,5,4,4.44999999999999928945e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(21,6,1,1.46,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(22,6,2,0.96,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(23,6,3,7.93333333333333223791e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(24,6,4,0.71,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(25,7,1,2.6,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(26,7,2,2.1,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(27,7,3,1.93333333333333334813e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(28,7,4,1.85,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(29,8,1,1.83999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(30,8,2,1.33999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(31,8,3,1.17333333333333289516e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(32,8,4,1.08999999999999963584e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(33,9,1,3.14500000000000028426e+01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(34,10,1,2.15000000000000035527e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(35,10,2,1.65000000000000013322e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(36,10,3,1.48333333333333339254e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(37,10,4,1.40000000000000013322e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(38,11,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(39,12,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(40,16,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(41,17,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(42,18,1,2.65672225892082369824e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(43,19,1,1.21066821155817905264e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(44,19,2,7.10668211558178941622e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(45,19,3,5.44001544891512311963e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(46,19,4,4.60668211558178941622e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(47,20,1,1.33248728163935448165e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(48,20,2,8.32487281639354481654e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(49,20,3,6.65820614972687740973e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(50,20,4,5.82487281639354481654e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(51,21,0,NULL,'NAN');
INSERT INTO "trial_intermediate_values" VALUES(52,22,1,1.7343967372871429422e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(53,22,2,1.2343967372871429422e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(54,23,1,1.7343967372871429422e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(55,23,2,1.2343967372871429422e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(56,23,3,1.06773007062047620152e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(57,23,4,9.84396737287142942207e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(58,24,1,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(59,24,2,0.6875,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(60,24,3,0.6875,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(61,25,1,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(62,25,2,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(63,25,3,0.75,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(64,26,1,0.5625,'FINITE');
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
INSERT INTO "trial_params" VALUES(4,2,'x',2.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(5,2,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(6,2,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(7,2,'width',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(8,3,'x',3.8,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(9,3,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(10,3,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(11,4,'x',2.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(12,4,'layers',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(13,4,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(14,5,'x',5.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(15,5,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(16,5,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(17,6,'x',2.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(18,6,'layers',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(19,6,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(20,7,'x',4.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(21,7,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(22,7,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(23,7,'width',0.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(24,8,'x',3.8,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(25,8,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(26,8,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(27,9,'x',8.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(28,9,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(29,9,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(30,10,'x',2.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(31,10,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(32,10,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(33,10,'width',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(34,11,'x',9.1,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(35,11,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(36,11,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(37,12,'x',9.3,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(38,12,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(39,12,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(40,13,'x',9.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(41,13,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(42,13,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(43,14,'x',9.6,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(44,14,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(45,14,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(46,15,'x',9.9,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(47,15,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(48,15,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(49,16,'x',4.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(50,16,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(51,16,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(52,17,'x',5.5,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(53,17,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(54,17,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(55,18,'x',1.79305250366023649633e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(56,18,'layers',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(57,18,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(58,19,'x',2.97415021164150639165e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(59,19,'layers',2.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(60,19,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(61,19,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(62,20,'x',2.94625125553588107507e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(63,20,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(64,20,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(65,20,'width',2.95983541078852462058e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(66,21,'x',3.04574919689967238412e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(67,21,'layers',4.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(68,21,'head',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(69,22,'x',2.34854260516351276422e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(70,22,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(71,22,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(72,22,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(73,23,'x',2.34854260516351276422e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 10.0, "log": false}}');
INSERT INTO "trial_params" VALUES(74,23,'layers',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 4}}');
INSERT INTO "trial_params" VALUES(75,23,'head',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["plain", "wide"]}}');
INSERT INTO "trial_params" VALUES(76,23,'width',1.00000000000000036776e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(77,24,'learning_rate',0.002,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(78,24,'lora_r',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
INSERT INTO "trial_params" VALUES(79,25,'learning_rate',1.20831275041073855393e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(80,25,'lora_r',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
INSERT INTO "trial_params" VALUES(81,26,'learning_rate',1.94679602683452274147e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.02, "log": true}}');
INSERT INTO "trial_params" VALUES(82,26,'lora_r',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 4]}}');
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
INSERT INTO "trial_system_attributes" VALUES(2,1,'hps:mark','"06ba09406bd449c2b1679b2b3b7d9d87"');
INSERT INTO "trial_system_attributes" VALUES(3,2,'fixed_params','{"x": 2.0, "layers": 1, "head": "wide", "width": 0.05}');
INSERT INTO "trial_system_attributes" VALUES(4,2,'hps:mark','"4a044fe256684ec893b503ab93271688"');
INSERT INTO "trial_system_attributes" VALUES(5,3,'fixed_params','{"x": 3.8, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(6,3,'hps:mark','"fdc699dd91c14c5cb6b632633b77d000"');
INSERT INTO "trial_system_attributes" VALUES(7,4,'fixed_params','{"x": 2.6, "layers": 2, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(8,4,'hps:mark','"dbf5cb5f41bf45c0b67bd09623251180"');
INSERT INTO "trial_system_attributes" VALUES(9,5,'fixed_params','{"x": 5.0, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(10,5,'hps:mark','"8178dac4feeb4d91928e16d43d8f12ee"');
INSERT INTO "trial_system_attributes" VALUES(11,6,'fixed_params','{"x": 2.6, "layers": 2, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(12,6,'hps:mark','"fccff1e12ecd43f8bb03195bf03726f2"');
INSERT INTO "trial_system_attributes" VALUES(13,7,'fixed_params','{"x": 4.0, "layers": 1, "head": "wide", "width": 0.5}');
INSERT INTO "trial_system_attributes" VALUES(14,7,'hps:mark','"d00d435c9bb444a3a0abe2525f2e5e4b"');
INSERT INTO "trial_system_attributes" VALUES(15,8,'fixed_params','{"x": 3.8, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(16,8,'hps:mark','"5c6a7639bc7d416dad6440be7cbdb7df"');
INSERT INTO "trial_system_attributes" VALUES(17,9,'fixed_params','{"x": 8.5, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(18,9,'hps:mark','"500ba03ba8c7458aa6e90d69bd689c9b"');
INSERT INTO "trial_system_attributes" VALUES(19,10,'fixed_params','{"x": 2.0, "layers": 1, "head": "wide", "width": 0.05}');
INSERT INTO "trial_system_attributes" VALUES(20,10,'hps:mark','"901cd6468a24466b8f1bc2cf953ab520"');
INSERT INTO "trial_system_attributes" VALUES(21,11,'fixed_params','{"x": 9.1, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(22,11,'hps:mark','"8d3e3517dad7475192a54ce7d783e9bf"');
INSERT INTO "trial_system_attributes" VALUES(23,12,'fixed_params','{"x": 9.3, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(24,12,'hps:mark','"84d7daec162147428e6ad6472cc43cde"');
INSERT INTO "trial_system_attributes" VALUES(25,13,'fixed_params','{"x": 9.6, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(26,13,'hps:mark','"288788920c0d4f1e8215bf800dc11027"');
INSERT INTO "trial_system_attributes" VALUES(27,14,'fixed_params','{"x": 9.6, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(28,14,'hps:mark','"596b51b96c884d0db148501f2aa734aa"');
INSERT INTO "trial_system_attributes" VALUES(29,15,'fixed_params','{"x": 9.9, "layers": 1, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(30,15,'hps:mark','"9c5ff0fdc29548319bed199971a63fa9"');
INSERT INTO "trial_system_attributes" VALUES(31,16,'fixed_params','{"x": 4.5, "layers": 4, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(32,16,'hps:mark','"06e4cde0ba5c4375b0304a2e0019b12a"');
INSERT INTO "trial_system_attributes" VALUES(33,17,'fixed_params','{"x": 5.5, "layers": 4, "head": "plain"}');
INSERT INTO "trial_system_attributes" VALUES(34,17,'hps:mark','"e85bcc0022f9452485b1bd6b99a64c0b"');
INSERT INTO "trial_system_attributes" VALUES(35,18,'hps:mark','"70f854221d0f4da8848018b83258b730"');
INSERT INTO "trial_system_attributes" VALUES(36,19,'hps:mark','"e5ffb5712bdb437097fb74c06c97de13"');
INSERT INTO "trial_system_attributes" VALUES(37,20,'hps:mark','"76c8895c4a4948c58573695b300a9a0a"');
INSERT INTO "trial_system_attributes" VALUES(38,21,'hps:mark','"078d5cb41d3045f687fd5cfe6298f24a"');
INSERT INTO "trial_system_attributes" VALUES(39,22,'hps:mark','"8a0ae2f12012471daba9c53a6f1a96ab"');
INSERT INTO "trial_system_attributes" VALUES(40,23,'fixed_params','{"x": 2.3485426051635128, "layers": 3, "head": "wide", "width": 0.010000000000000004}');
INSERT INTO "trial_system_attributes" VALUES(41,23,'hps:mark','"6c9da04c80ce46fb9668d9049a305e45"');
INSERT INTO "trial_system_attributes" VALUES(42,24,'fixed_params','{"learning_rate": 0.002, "lora_r": 2}');
INSERT INTO "trial_system_attributes" VALUES(43,24,'hps:mark','"abf1b4b2dd5f4e44995cff55e4293a3c"');
INSERT INTO "trial_system_attributes" VALUES(44,25,'hps:mark','"b1981dbfd1a44fe295bff82cf85853eb"');
INSERT INTO "trial_system_attributes" VALUES(45,26,'hps:mark','"640254a31a404e5fa60d9eff7171a44b"');
INSERT INTO "trial_system_attributes" VALUES(46,27,'fixed_params','{"learning_rate": 0.019467960268345227, "lora_r": 4}');
INSERT INTO "trial_system_attributes" VALUES(47,27,'hps:mark','"9218d11fe4af49b0a155c18fce871aa8"');
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
INSERT INTO "trial_user_attributes" VALUES(9,1,'hps:duration_s','1.095');
INSERT INTO "trial_user_attributes" VALUES(10,1,'hps:metrics','{"holdout_score": 4.699999999999999, "score": 4.199999999999999}');
INSERT INTO "trial_user_attributes" VALUES(11,2,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(12,2,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(13,2,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(14,2,'hps:seed','4101954583');
INSERT INTO "trial_user_attributes" VALUES(15,2,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(16,2,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(17,2,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(18,2,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(19,2,'hps:duration_s','0.889');
INSERT INTO "trial_user_attributes" VALUES(20,2,'hps:metrics','{"holdout_score": 1.6500000000000001, "score": 1.1500000000000001}');
INSERT INTO "trial_user_attributes" VALUES(21,3,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(22,3,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(23,3,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(24,3,'hps:seed','159372992');
INSERT INTO "trial_user_attributes" VALUES(25,3,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(26,3,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(27,3,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(28,3,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(29,3,'hps:duration_s','1.29');
INSERT INTO "trial_user_attributes" VALUES(30,3,'hps:metrics','{"holdout_score": 1.3399999999999996, "score": 0.8399999999999996}');
INSERT INTO "trial_user_attributes" VALUES(31,4,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(32,4,'hps:root','3');
INSERT INTO "trial_user_attributes" VALUES(33,4,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(34,4,'hps:seed','2442660755');
INSERT INTO "trial_user_attributes" VALUES(35,4,'hps:folder','"trial_3"');
INSERT INTO "trial_user_attributes" VALUES(36,4,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(37,4,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(38,4,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(39,4,'hps:duration_s','1.161');
INSERT INTO "trial_user_attributes" VALUES(40,4,'hps:metrics','{"holdout_score": 0.96, "score": 0.45999999999999996}');
INSERT INTO "trial_user_attributes" VALUES(41,5,'hps:default','true');
INSERT INTO "trial_user_attributes" VALUES(42,5,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(43,5,'hps:root','0');
INSERT INTO "trial_user_attributes" VALUES(44,5,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(45,5,'hps:seed','1954216075');
INSERT INTO "trial_user_attributes" VALUES(46,5,'hps:folder','"trial_0"');
INSERT INTO "trial_user_attributes" VALUES(47,5,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(48,5,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(49,5,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(50,5,'hps:duration_s','1.151');
INSERT INTO "trial_user_attributes" VALUES(51,5,'hps:metrics','{"holdout_score": 4.699999999999999, "score": 4.199999999999999}');
INSERT INTO "trial_user_attributes" VALUES(52,6,'hps:carried','3');
INSERT INTO "trial_user_attributes" VALUES(53,6,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(54,6,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(55,6,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(56,6,'hps:seed','3248823118');
INSERT INTO "trial_user_attributes" VALUES(57,6,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(58,6,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(59,6,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(60,6,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(61,6,'hps:duration_s','0.794');
INSERT INTO "trial_user_attributes" VALUES(62,6,'hps:metrics','{"holdout_score": 0.96, "score": 0.45999999999999996}');
INSERT INTO "trial_user_attributes" VALUES(63,7,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(64,7,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(65,7,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(66,7,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(67,7,'hps:seed','2485135193');
INSERT INTO "trial_user_attributes" VALUES(68,7,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(69,7,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(70,7,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(71,7,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(72,7,'hps:duration_s','1.176');
INSERT INTO "trial_user_attributes" VALUES(73,7,'hps:metrics','{"holdout_score": 2.1, "score": 1.6}');
INSERT INTO "trial_user_attributes" VALUES(74,8,'hps:carried','2');
INSERT INTO "trial_user_attributes" VALUES(75,8,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(76,8,'hps:root','3');
INSERT INTO "trial_user_attributes" VALUES(77,8,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(78,8,'hps:seed','2191110312');
INSERT INTO "trial_user_attributes" VALUES(79,8,'hps:folder','"trial_3"');
INSERT INTO "trial_user_attributes" VALUES(80,8,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(81,8,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(82,8,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(83,8,'hps:duration_s','0.762');
INSERT INTO "trial_user_attributes" VALUES(84,8,'hps:metrics','{"holdout_score": 1.3399999999999996, "score": 0.8399999999999996}');
INSERT INTO "trial_user_attributes" VALUES(85,9,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(86,9,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(87,9,'hps:root','4');
INSERT INTO "trial_user_attributes" VALUES(88,9,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(89,9,'hps:seed','1270697568');
INSERT INTO "trial_user_attributes" VALUES(90,9,'hps:folder','"trial_4"');
INSERT INTO "trial_user_attributes" VALUES(91,9,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(92,9,'hps:outcome','"pruned"');
INSERT INTO "trial_user_attributes" VALUES(93,9,'hps:message','"stopped by the pruner after step 1"');
INSERT INTO "trial_user_attributes" VALUES(94,9,'hps:duration_s','1.125');
INSERT INTO "trial_user_attributes" VALUES(95,10,'hps:carried','1');
INSERT INTO "trial_user_attributes" VALUES(96,10,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(97,10,'hps:root','5');
INSERT INTO "trial_user_attributes" VALUES(98,10,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(99,10,'hps:seed','1462885038');
INSERT INTO "trial_user_attributes" VALUES(100,10,'hps:folder','"trial_5"');
INSERT INTO "trial_user_attributes" VALUES(101,10,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(102,10,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(103,10,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(104,10,'hps:duration_s','0.866');
INSERT INTO "trial_user_attributes" VALUES(105,10,'hps:metrics','{"holdout_score": 1.6500000000000001, "score": 1.1500000000000001}');
INSERT INTO "trial_user_attributes" VALUES(106,11,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(107,11,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(108,11,'hps:root','6');
INSERT INTO "trial_user_attributes" VALUES(109,11,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(110,11,'hps:seed','2347998073');
INSERT INTO "trial_user_attributes" VALUES(111,11,'hps:folder','"trial_6"');
INSERT INTO "trial_user_attributes" VALUES(112,11,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(113,11,'hps:outcome','"diverged"');
INSERT INTO "trial_user_attributes" VALUES(114,11,'hps:message','"score is nan at step 1"');
INSERT INTO "trial_user_attributes" VALUES(115,11,'hps:duration_s','0.806');
INSERT INTO "trial_user_attributes" VALUES(116,12,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(117,12,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(118,12,'hps:root','7');
INSERT INTO "trial_user_attributes" VALUES(119,12,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(120,12,'hps:seed','3291238796');
INSERT INTO "trial_user_attributes" VALUES(121,12,'hps:folder','"trial_7"');
INSERT INTO "trial_user_attributes" VALUES(122,12,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(123,12,'hps:outcome','"invalid"');
INSERT INTO "trial_user_attributes" VALUES(124,12,'hps:message','"x and layers do not go together"');
INSERT INTO "trial_user_attributes" VALUES(125,12,'hps:duration_s','1.025');
INSERT INTO "trial_user_attributes" VALUES(126,13,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(127,13,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(128,13,'hps:root','8');
INSERT INTO "trial_user_attributes" VALUES(129,13,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(130,13,'hps:seed','2553024286');
INSERT INTO "trial_user_attributes" VALUES(131,13,'hps:folder','"trial_8"');
INSERT INTO "trial_user_attributes" VALUES(132,13,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(133,13,'hps:outcome','"signal"');
INSERT INTO "trial_user_attributes" VALUES(134,13,'hps:message','"died of SIGSEGV"');
INSERT INTO "trial_user_attributes" VALUES(135,13,'hps:duration_s','0.696');
INSERT INTO "trial_user_attributes" VALUES(136,14,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(137,14,'hps:root','8');
INSERT INTO "trial_user_attributes" VALUES(138,14,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(139,14,'hps:retry_of','8');
INSERT INTO "trial_user_attributes" VALUES(140,14,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(141,14,'hps:seed','2553024286');
INSERT INTO "trial_user_attributes" VALUES(142,14,'hps:folder','"trial_8/attempt-2"');
INSERT INTO "trial_user_attributes" VALUES(143,14,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(144,14,'hps:outcome','"signal"');
INSERT INTO "trial_user_attributes" VALUES(145,14,'hps:message','"died of SIGSEGV"');
INSERT INTO "trial_user_attributes" VALUES(146,14,'hps:duration_s','1.002');
INSERT INTO "trial_user_attributes" VALUES(147,15,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(148,15,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(149,15,'hps:root','10');
INSERT INTO "trial_user_attributes" VALUES(150,15,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(151,15,'hps:seed','972755785');
INSERT INTO "trial_user_attributes" VALUES(152,15,'hps:folder','"trial_10"');
INSERT INTO "trial_user_attributes" VALUES(153,15,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(154,15,'hps:outcome','"crash"');
INSERT INTO "trial_user_attributes" VALUES(155,15,'hps:message','"exited with code 1: RuntimeError: the rows cannot be read"');
INSERT INTO "trial_user_attributes" VALUES(156,15,'hps:duration_s','1.209');
INSERT INTO "trial_user_attributes" VALUES(157,16,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(158,16,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(159,16,'hps:root','11');
INSERT INTO "trial_user_attributes" VALUES(160,16,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(161,16,'hps:seed','3041122578');
INSERT INTO "trial_user_attributes" VALUES(162,16,'hps:folder','"trial_11"');
INSERT INTO "trial_user_attributes" VALUES(163,16,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(164,16,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(165,16,'hps:message','"exited with code 1: CUDA out of memory. Tried to allocate 20.00 GiB"');
INSERT INTO "trial_user_attributes" VALUES(166,16,'hps:duration_s','0.713');
INSERT INTO "trial_user_attributes" VALUES(167,17,'hps:try_first','"named in try_first"');
INSERT INTO "trial_user_attributes" VALUES(168,17,'hps:not_tried','true');
INSERT INTO "trial_user_attributes" VALUES(169,17,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(170,17,'hps:message','"not tried: it needs at least as much device memory as trial 11, which ran out of it"');
INSERT INTO "trial_user_attributes" VALUES(171,17,'hps:duration_s','0.0');
INSERT INTO "trial_user_attributes" VALUES(172,18,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(173,18,'hps:root','13');
INSERT INTO "trial_user_attributes" VALUES(174,18,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(175,18,'hps:seed','3030911365');
INSERT INTO "trial_user_attributes" VALUES(176,18,'hps:folder','"trial_13"');
INSERT INTO "trial_user_attributes" VALUES(177,18,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(178,18,'hps:outcome','"pruned"');
INSERT INTO "trial_user_attributes" VALUES(179,18,'hps:message','"stopped by the pruner after step 1"');
INSERT INTO "trial_user_attributes" VALUES(180,18,'hps:duration_s','0.932');
INSERT INTO "trial_user_attributes" VALUES(181,19,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(182,19,'hps:root','14');
INSERT INTO "trial_user_attributes" VALUES(183,19,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(184,19,'hps:seed','344484008');
INSERT INTO "trial_user_attributes" VALUES(185,19,'hps:folder','"trial_14"');
INSERT INTO "trial_user_attributes" VALUES(186,19,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(187,19,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(188,19,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(189,19,'hps:duration_s','1.095');
INSERT INTO "trial_user_attributes" VALUES(190,19,'hps:metrics','{"holdout_score": 0.7106682115581789, "score": 0.21066821155817894}');
INSERT INTO "trial_user_attributes" VALUES(191,20,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(192,20,'hps:root','15');
INSERT INTO "trial_user_attributes" VALUES(193,20,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(194,20,'hps:seed','1726573057');
INSERT INTO "trial_user_attributes" VALUES(195,20,'hps:folder','"trial_15"');
INSERT INTO "trial_user_attributes" VALUES(196,20,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(197,20,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(198,20,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(199,20,'hps:duration_s','1.309');
INSERT INTO "trial_user_attributes" VALUES(200,20,'hps:metrics','{"holdout_score": 0.8324872816393545, "score": 0.3324872816393544}');
INSERT INTO "trial_user_attributes" VALUES(201,21,'hps:root','16');
INSERT INTO "trial_user_attributes" VALUES(202,21,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(203,21,'hps:seed','1435355949');
INSERT INTO "trial_user_attributes" VALUES(204,21,'hps:folder','"trial_16"');
INSERT INTO "trial_user_attributes" VALUES(205,21,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(206,21,'hps:outcome','"cuda_oom"');
INSERT INTO "trial_user_attributes" VALUES(207,21,'hps:message','"exited with code 1: CUDA out of memory. Tried to allocate 20.00 GiB"');
INSERT INTO "trial_user_attributes" VALUES(208,21,'hps:duration_s','1.071');
INSERT INTO "trial_user_attributes" VALUES(209,22,'hps:root','17');
INSERT INTO "trial_user_attributes" VALUES(210,22,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(211,22,'hps:seed','708785324');
INSERT INTO "trial_user_attributes" VALUES(212,22,'hps:folder','"trial_17"');
INSERT INTO "trial_user_attributes" VALUES(213,22,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(214,22,'hps:outcome','"interrupted"');
INSERT INTO "trial_user_attributes" VALUES(215,22,'hps:message','"stopped on request"');
INSERT INTO "trial_user_attributes" VALUES(216,22,'hps:duration_s','0.963');
INSERT INTO "trial_user_attributes" VALUES(217,23,'hps:root','17');
INSERT INTO "trial_user_attributes" VALUES(218,23,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(219,23,'hps:retry_of','17');
INSERT INTO "trial_user_attributes" VALUES(220,23,'hps:device','"NVIDIA L4, 25165824000 bytes"');
INSERT INTO "trial_user_attributes" VALUES(221,23,'hps:seed','708785324');
INSERT INTO "trial_user_attributes" VALUES(222,23,'hps:folder','"trial_17/attempt-2"');
INSERT INTO "trial_user_attributes" VALUES(223,23,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(224,24,'hps:default','true');
INSERT INTO "trial_user_attributes" VALUES(225,24,'hps:root','0');
INSERT INTO "trial_user_attributes" VALUES(226,24,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(227,24,'hps:seed','704716620');
INSERT INTO "trial_user_attributes" VALUES(228,24,'hps:folder','"trial_0"');
INSERT INTO "trial_user_attributes" VALUES(229,24,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(230,24,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(231,24,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(232,24,'hps:duration_s','14.57');
INSERT INTO "trial_user_attributes" VALUES(233,24,'hps:metrics','{"activations_recomputed": 0.0, "best_step": 12.0, "eval_cer": 0.75, "eval_loss": 2.2616838216781616, "eval_repeats": 0.0, "eval_seconds": 3.1271951380003884, "eval_wer": 1.0, "holdout_cer": 0.7575757575757576, "holdout_loss": 2.5723273997404137, "holdout_repeats": 0.0, "holdout_wer": 1.0, "it_per_s": 1.601373926090127, "micro_batch_size": 4.0, "oom_backoffs": 0.0, "peak_memory_bytes": 441602048.0, "steps": 12.0, "tokens_per_s": 237.13678888851297, "train_seconds": 7.493565246999424}');
INSERT INTO "trial_user_attributes" VALUES(234,25,'hps:root','1');
INSERT INTO "trial_user_attributes" VALUES(235,25,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(236,25,'hps:seed','2706017927');
INSERT INTO "trial_user_attributes" VALUES(237,25,'hps:folder','"trial_1"');
INSERT INTO "trial_user_attributes" VALUES(238,25,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(239,25,'hps:outcome','"ok"');
INSERT INTO "trial_user_attributes" VALUES(240,25,'hps:message','""');
INSERT INTO "trial_user_attributes" VALUES(241,25,'hps:duration_s','14.067');
INSERT INTO "trial_user_attributes" VALUES(242,25,'hps:metrics','{"activations_recomputed": 0.0, "best_step": 12.0, "eval_cer": 0.84375, "eval_loss": 3.2143287857373557, "eval_repeats": 0.0, "eval_seconds": 2.3649437519998173, "eval_wer": 1.0, "holdout_cer": 0.7878787878787878, "holdout_loss": 3.65065200961366, "holdout_repeats": 0.0, "holdout_wer": 1.0, "it_per_s": 1.5140712333555189, "micro_batch_size": 4.0, "oom_backoffs": 0.0, "peak_memory_bytes": 448081920.0, "steps": 12.0, "tokens_per_s": 224.5872329477353, "train_seconds": 7.925650878000852}');
INSERT INTO "trial_user_attributes" VALUES(243,26,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(244,26,'hps:attempt','1');
INSERT INTO "trial_user_attributes" VALUES(245,26,'hps:seed','3242365133');
INSERT INTO "trial_user_attributes" VALUES(246,26,'hps:folder','"trial_2"');
INSERT INTO "trial_user_attributes" VALUES(247,26,'hps:gpus','1');
INSERT INTO "trial_user_attributes" VALUES(248,26,'hps:outcome','"interrupted"');
INSERT INTO "trial_user_attributes" VALUES(249,26,'hps:message','"stopped on request"');
INSERT INTO "trial_user_attributes" VALUES(250,26,'hps:duration_s','9.978');
INSERT INTO "trial_user_attributes" VALUES(251,27,'hps:root','2');
INSERT INTO "trial_user_attributes" VALUES(252,27,'hps:attempt','2');
INSERT INTO "trial_user_attributes" VALUES(253,27,'hps:retry_of','2');
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
INSERT INTO "trial_values" VALUES(2,2,0,1.15000000000000013322e+00,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,8.39999999999999635846e-01,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,4.59999999999999964472e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,5,0,4.19999999999999928945e+00,'FINITE');
INSERT INTO "trial_values" VALUES(6,6,0,4.59999999999999964472e-01,'FINITE');
INSERT INTO "trial_values" VALUES(7,7,0,1.6,'FINITE');
INSERT INTO "trial_values" VALUES(8,8,0,8.39999999999999635846e-01,'FINITE');
INSERT INTO "trial_values" VALUES(9,9,0,3.14500000000000028426e+01,'FINITE');
INSERT INTO "trial_values" VALUES(10,10,0,1.15000000000000013322e+00,'FINITE');
INSERT INTO "trial_values" VALUES(11,18,0,2.65672225892082369824e+00,'FINITE');
INSERT INTO "trial_values" VALUES(12,19,0,2.10668211558178941622e-01,'FINITE');
INSERT INTO "trial_values" VALUES(13,20,0,3.32487281639354426143e-01,'FINITE');
INSERT INTO "trial_values" VALUES(14,24,0,0.75,'FINITE');
INSERT INTO "trial_values" VALUES(15,25,0,0.84375,'FINITE');
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
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 15:23:46.029828','2026-11-30 15:23:47.872276');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-30 15:23:48.050488','2026-11-30 15:23:49.524838');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-30 15:23:49.913337','2026-11-30 15:23:52.599124');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-30 15:23:53.125329','2026-11-30 15:23:54.904050');
INSERT INTO "trials" VALUES(5,0,2,'COMPLETE','2026-11-30 15:24:15.090140','2026-11-30 15:24:17.150281');
INSERT INTO "trials" VALUES(6,1,2,'COMPLETE','2026-11-30 15:24:17.418298','2026-11-30 15:24:18.842507');
INSERT INTO "trials" VALUES(7,2,2,'COMPLETE','2026-11-30 15:24:18.994823','2026-11-30 15:24:20.961578');
INSERT INTO "trials" VALUES(8,3,2,'COMPLETE','2026-11-30 15:24:21.041712','2026-11-30 15:24:22.112243');
INSERT INTO "trials" VALUES(9,4,2,'PRUNED','2026-11-30 15:24:22.273438','2026-11-30 15:24:23.968521');
INSERT INTO "trials" VALUES(10,5,2,'COMPLETE','2026-11-30 15:24:24.082818','2026-11-30 15:24:25.574697');
INSERT INTO "trials" VALUES(11,6,2,'PRUNED','2026-11-30 15:24:25.645869','2026-11-30 15:24:26.903278');
INSERT INTO "trials" VALUES(12,7,2,'PRUNED','2026-11-30 15:24:26.924742','2026-11-30 15:24:28.756069');
INSERT INTO "trials" VALUES(13,8,2,'FAIL','2026-11-30 15:24:28.772892','2026-11-30 15:24:30.744891');
INSERT INTO "trials" VALUES(14,9,2,'FAIL','2026-11-30 15:24:30.833630','2026-11-30 15:24:32.393737');
INSERT INTO "trials" VALUES(15,10,2,'FAIL','2026-11-30 15:24:32.422446','2026-11-30 15:24:34.201999');
INSERT INTO "trials" VALUES(16,11,2,'PRUNED','2026-11-30 15:24:34.282654','2026-11-30 15:24:38.078102');
INSERT INTO "trials" VALUES(17,12,2,'PRUNED','2026-11-30 15:24:38.148770','2026-11-30 15:24:38.380731');
INSERT INTO "trials" VALUES(18,13,2,'PRUNED','2026-11-30 15:24:35.340342','2026-11-30 15:24:39.795675');
INSERT INTO "trials" VALUES(19,14,2,'COMPLETE','2026-11-30 15:24:39.806869','2026-11-30 15:24:44.547318');
INSERT INTO "trials" VALUES(20,15,2,'COMPLETE','2026-11-30 15:24:44.662454','2026-11-30 15:24:49.404518');
INSERT INTO "trials" VALUES(21,16,2,'PRUNED','2026-11-30 15:25:11.333092','2026-11-30 15:25:18.962125');
INSERT INTO "trials" VALUES(22,17,2,'FAIL','2026-11-30 15:25:15.958120','2026-11-30 15:25:20.446363');
INSERT INTO "trials" VALUES(23,18,2,'RUNNING','2026-11-30 15:25:34.960424',NULL);
INSERT INTO "trials" VALUES(24,0,3,'COMPLETE','2026-11-30 15:26:43.161412','2026-11-30 15:26:59.613190');
INSERT INTO "trials" VALUES(25,1,3,'COMPLETE','2026-11-30 15:26:59.634335','2026-11-30 15:27:14.279023');
INSERT INTO "trials" VALUES(26,2,3,'FAIL','2026-11-30 15:27:14.190004','2026-11-30 15:27:24.859482');
INSERT INTO "trials" VALUES(27,3,3,'WAITING',NULL,NULL);
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
